"""Job lists on a real Slurm: one node of two CPUs, started here and removed afterwards."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.children import python
from tests.jobs.small_slurm import Cluster, missing
from tests.predict import small_run
from tests.run import small_runs
from tinynet.jobs import states
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.job_list import Job
from tinynet.predict.probabilities import read_probabilities
from tinynet.run.log import read_history
from tinynet.run.paths import RunPaths

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

MAX_ITER = 1500
STEPS = f"--max-iter {MAX_ITER} --set display=10 --set test_interval=100 --snapshot 100"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("torch")
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list under a path with every character that could break a shell script."""
    place = tmp_path / 'it\'s a $HOME #1 "100%j"'
    place.mkdir()
    monkeypatch.chdir(place)
    return Path("a list")


def tinynet(cluster: Cluster, *arguments: str) -> str:
    variables = {"OMP_NUM_THREADS": "1", **cluster.environment}
    child = python("-m", "tinynet", *arguments, folder=Path.cwd(), **variables)
    assert child.returncode == 0, child.stderr
    return child.stdout


def _root() -> str:
    return str(Path(__file__).parents[2])


def submit(cluster: Cluster, *arguments: str) -> list[str]:
    """Submit the list; return the ids of its arrays."""
    return tinynet(cluster, "jobs", "slurm", "a list", "--submit", *arguments).split()


def logs() -> str:
    return "\n".join(path.read_text() for path in sorted(Path("a list/logs").glob("*.log")))


def state() -> str:
    (found,) = states.states(Path("a list")).values()
    return found.name


def wait_for_iteration(run: Path, iteration: int, sessions: int = 1) -> None:
    """Wait until a run, in its session of the given number, has logged an iteration."""
    while True:
        paths = RunPaths(run)
        if paths.history.exists() and paths.run_json.exists():
            history = read_history(paths.history)
            record = json.loads(paths.run_json.read_text())
            begun = len(record["sessions"]) >= sessions and record["state"] == "running"
            if begun and history and history[-1]["iteration"] >= iteration:
                return
            assert record["state"] != "finished", "it was over before it could be disturbed"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last snapshot of the same training, run without interruption."""
    place = tmp_path_factory.mktemp("uninterrupted")
    small_runs.write_files(place)
    child = small_runs.train(
        place, *STEPS.split(), "--seed", "3", "--name", "uninterrupted", "--cpu"
    )
    assert child.returncode == 0, child.stderr
    return place / f"runs/small/uninterrupted/snapshots/snapshot_iter_{MAX_ITER}.caffemodel"


def assert_same_weights(run: Path, uninterrupted: Path) -> None:
    model = run / f"snapshots/snapshot_iter_{MAX_ITER}.caffemodel"
    assert model.read_bytes() == uninterrupted.read_bytes()


def test_an_array_of_four_trainings_finishes_before_the_ensemble(
    cluster: Cluster, folder: Path
) -> None:
    solver = small_run.write_nets(Path("small"), small_run.write_data(Path("data"))).solver
    runs = [Path("runs/small") / f"seed{n}" for n in range(4)]
    members = [
        Job(
            f"member {n}'s",
            (
                ("train", str(solver), "--seed", str(n), "--name", run.name, "--quiet"),
                ("evaluate", str(run), "--oversample"),
            ),
            run,
        )
        for n, run in enumerate(runs)
    ]
    average = ("ensemble", *map(str, runs), "--out", "runs/ensemble", "--average-only")
    add_jobs(folder, [*members, Job("ensemble", (average,), None, tuple(j.name for j in members))])
    first, second = submit(cluster, "--at-once", "2", "--time", "5:00")
    assert list(cluster.task_states(second).values()) == ["PENDING"]
    cluster.wait_until([first, second], "COMPLETED", "FAILED")
    assert cluster.task_states(first) == dict.fromkeys("0123", "COMPLETED"), logs()
    assert cluster.task_states(second) == {"0": "COMPLETED"}, logs()
    known = states.states(folder)
    assert {found.name for found in known.values()} == {"done"}
    begun = known["ensemble"].attempt
    ends = [known[j.name].attempt for j in members]
    assert begun is not None and all(e and str(e.ended) <= begun.started for e in ends)
    mean = read_probabilities(Path("runs/ensemble/val_10crop.npz")).probabilities
    each = [read_probabilities(RunPaths(r).probabilities("val", True)).probabilities for r in runs]
    assert abs(mean - sum(each) / 4).max() < 1e-6
    assert len(list(folder.glob("logs/slurm-*_?.log"))) == 5
    assert tinynet(cluster, "jobs", "slurm", "a list", "--submit") == ""


def test_a_signalled_run_is_requeued_and_ends_with_identical_weights(
    cluster: Cluster, folder: Path, uninterrupted: Path
) -> None:
    small_runs.write_files(Path())
    tinynet(cluster, "jobs", "create", "a list", "small/solver.prototxt", "--seeds", "3",
            "--no-evaluate", "--train", STEPS)  # fmt: skip
    (array,) = submit(cluster, "--time", "10:00")
    run = Path("runs/small/seed3")
    wait_for_iteration(run, 150)
    cluster.run("scancel", "--signal=USR1", "--batch", f"{array}_0")
    cluster.wait_until([array], "COMPLETED", "FAILED")
    assert cluster.task_states(array) == {"0": "COMPLETED"}, logs()
    sessions = small_runs.record(Path(), run)["sessions"]
    assert [session["state"] for session in sessions] == ["stopped", "finished"]
    assert 150 <= sessions[0]["to"] == sessions[1]["from"] < MAX_ITER, "not where it was"
    assert "SIGUSR1: small-seed3 is told to stop" in logs()
    assert state() == "done"
    assert_same_weights(run, uninterrupted)


def test_a_node_that_fails_and_a_cancelled_task_lose_nothing(
    cluster: Cluster, folder: Path, uninterrupted: Path
) -> None:
    small_runs.write_files(Path())
    tinynet(cluster, "jobs", "create", "a list", "small/solver.prototxt", "--seeds", "3",
            "--no-evaluate", "--train", STEPS)  # fmt: skip
    run = Path("runs/small/seed3")
    (array,) = submit(cluster)
    wait_for_iteration(run, 150)
    cluster.run("scontrol", "update", "nodename=node1", "state=down", "reason=test")
    cluster.wait_until([array], "PENDING")
    cluster.bring_back()
    wait_for_iteration(run, 250, sessions=2)
    record = small_runs.record(Path(), run)
    assert record["sessions"][1]["from"] >= 100, "the snapshot of iteration 100 was lost"
    cluster.run("scancel", array)
    cluster.wait_until([array], "CANCELLED")
    while state() == "running":
        time.sleep(0.1)
    record = small_runs.record(Path(), run)
    assert state() == "stopped" and record["state"] == "stopped", logs()
    assert (run / f"snapshots/snapshot_iter_{record['iteration']}.caffemodel").exists()
    assert "was ended by Slurm; submit the list again" in logs()
    (again,) = submit(cluster)
    cluster.wait_until([again], "COMPLETED", "FAILED")
    assert cluster.task_states(again) == {"0": "COMPLETED"}, logs()
    assert small_runs.record(Path(), run)["sessions"][2]["from"] == record["iteration"]
    assert_same_weights(run, uninterrupted)


@pytest.mark.long
def test_a_run_that_hits_its_time_limit_resumes_and_ends_with_identical_weights(
    cluster: Cluster, folder: Path, uninterrupted: Path
) -> None:
    """With Slurm's real limit and signal: its shortest time limit is a minute."""
    small_runs.write_files(Path())
    solver = Path("small/solver.prototxt")
    # slow enough for several limits: a long test every fifty iterations
    solver.write_text(small_runs.SOLVER.replace("test_iter: 2\n", "test_iter: 3600\n"))
    steps = f"--max-iter {MAX_ITER} --set display=10 --set test_interval=50 --snapshot 100"
    tinynet(cluster, "jobs", "create", "a list", str(solver), "--seeds", "3", "--no-evaluate",
            "--train", steps)  # fmt: skip
    (array,) = submit(cluster, "--time", "1", "--warning", "20")
    cluster.wait_until([array], "COMPLETED", "FAILED", "TIMEOUT")
    assert cluster.task_states(array) == {"0": "COMPLETED"}, logs()
    run = Path("runs/small/seed3")
    sessions = small_runs.record(Path(), run)["sessions"]
    assert len(sessions) > 1, "it was done within the limit"
    assert "is told to stop" in logs()
    assert_same_weights(run, uninterrupted)


def test_the_tasks_of_a_step_train_one_run_together(cluster: Cluster, folder: Path) -> None:
    small_runs.write_files(Path())
    command = [
        sys.executable,
        "-m",
        "tinynet",
        "train",
        "small/solver.prototxt",
        "--cpu",
        "--quiet",
    ]
    cluster.environment.update(PYTHONPATH=_root(), OMP_NUM_THREADS="1")
    output = cluster.run("srun", "-n", "2", *command, "--json", cwd=Path.cwd())
    (result,) = [json.loads(line) for line in output.splitlines()]  # of rank 0 alone
    assert (result["state"], result["solvers"], result["effective_batch"]) == ("finished", 2, 20)
    again = cluster.run("srun", "-n", "2", *command, cwd=Path.cwd())
    assert "finished at iteration 24" in again
