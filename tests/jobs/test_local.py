"""Runners on this machine: what they begin, what they pass on, what their death leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import children
from tests.cli import command
from tests.jobs.test_job_list import end
from tests.run import small_runs
from tinynet.cli.job_commands import common_fault
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.jobs import local, states
from tinynet.jobs import status as job_status
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.job_list import Job, read
from tinynet.jobs.slots import Cores, One
from tinynet.run import lock
from tinynet.run.paths import RunPaths

# never at its end: stopped from outside
ENDLESS = "--max-iter 10000000 --set display=20 --set test_interval=100000 --snapshot 0"


def named(folder: Path) -> dict[str, str]:
    return {name: found.name for name, found in states.states(folder).items()}


def job(name: str, *words: str, after: tuple[str, ...] = ()) -> Job:
    return Job(name, (words,), None, after)


def test_a_failed_job_is_reported_and_keeps_none_but_its_own_from_being_done(
    folder: Path,
) -> None:
    first = Job('it\'s "$(first)"', (("stages",), ("diff", "1", "2")))
    add_jobs(
        folder,
        [
            first,
            job("fails", "stages", "--stage", "99"),
            job("blocked", "stages", after=("fails",)),
            job("unknown", "no such command"),
            job("last", "stages", after=(first.name,)),
        ],
    )
    said: list[str] = []
    report = local.run(folder, Cores(2), said.append)
    assert named(folder) == {
        first.name: "done",
        "fails": "failed",
        "blocked": "waiting",
        "unknown": "failed",
        "last": "done",
    }
    assert report.blocked == {"blocked": ["fails"]}
    assert "no command 'no such command'" in report.states["unknown"].message
    with pytest.raises(TinynetError, match="2 jobs .fails, unknown. failed.*could not begin"):
        report.require_complete(folder)
    log = (folder / "logs" / f"{first.name}.log").read_text()
    assert log.index("$ tinynet stages") < log.index("$ tinynet diff 1 2")
    assert log.index("stage1_simple") < log.index("$ tinynet diff 1 2") < log.index("+++")
    again = local.run(folder, Cores(2), said.append)
    assert again.begun == [], "something was done twice"
    add_jobs(folder, [job("fails", "stages"), job("unknown", "stages")])
    assert local.run(folder, Cores(2), said.append).complete


def test_what_failed_is_begun_again_once_when_asked(folder: Path) -> None:
    add_jobs(folder, [job("fails", "stages", "--stage", "99")])
    for _ in range(2):
        local.run(folder, Cores(1), print, again=True)
    assert states.states(folder)["fails"].attempt.number == 2  # type: ignore[union-attr]


def test_a_job_that_ends_well_without_what_it_leaves_has_failed_once(folder: Path) -> None:
    add_jobs(folder, [Job("a", (("stages",),), leaves=Path("scores.json"))])
    report = local.run(folder, Cores(1), print, again=True)
    assert report.states["a"].message == "ended well, but scores.json is not there"
    assert states.states(folder)["a"].attempt.number == 1  # type: ignore[union-attr]


def test_single_jobs_are_done_without_the_others(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("b", "stages"), job("c", "stages", after=("a",))])
    report = local.run(folder, One(None, True, None), print, only=["c"])
    assert report.blocked == {"c": ["a"]} and named(folder)["a"] == "waiting"
    assert local.run(folder, One(None, True, None), print, only=["b"]).complete
    assert named(folder) == {"a": "waiting", "b": "done", "c": "waiting"}
    with pytest.raises(UsageError, match="no job 'd' in the list; the jobs are a, b, c"):
        local.run(folder, One(None, True, None), print, only=["d"])


def test_named_jobs_are_done_in_the_order_in_which_they_are_named(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("b", "stages"), job("c", "stages")])
    report = local.run(folder, Cores(1), print, only=["c", "a", "c"])
    assert report.begun == ["c", "a"] and report.complete


def test_what_does_not_fit_the_time_left_is_not_begun_and_shorter_ones_are(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("long", "stages"), job("b", "stages")])
    report = local.run(folder, Cores(1), print, fits=lambda job: job.name != "long")
    assert report.begun == ["a", "b"] and report.too_long == ["long"]
    assert named(folder) == {"a": "done", "long": "waiting", "b": "done"}
    with pytest.raises(StoppedEarly, match="job long would not have ended in the time given"):
        report.require_complete(folder)
    again = local.run(folder, Cores(1), print, fits=lambda job: True)
    assert again.begun == ["long"] and again.complete


def test_what_a_job_runs_with_follows_from_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    three = Cores(3, cores=range(8))
    slots = [three.take() for _ in range(4)]
    assert slots[3] is None
    assert [p.environment["OMP_NUM_THREADS"] for p in slots if p] == ["2", "2", "2"]
    bound = Cores(2, leave_free=2, bind=True, cores=[0, 1, 4, 5, 8, 9])
    taken = [bound.take(), bound.take()]
    assert [sorted(p.cores) for p in taken if p] == [[0, 1], [4, 5]]
    assert [p.label for p in taken if p] == ["cores 0-1", "cores 4-5"]
    crowded = Cores(3, bind=True, cores=[6, 7])
    assert [sorted(p.cores) for p in (crowded.take(), crowded.take(), crowded.take()) if p] == [
        [6], [7], [6]
    ]  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked_for_less = Cores(1, cores=range(8)).take()
    assert asked_for_less is not None and asked_for_less.environment["OMP_NUM_THREADS"] == "1"


def test_a_command_is_bound_and_told_its_device(folder: Path) -> None:
    core = min(os.sched_getaffinity(0))
    add_jobs(folder, [job("a", "train", "none.prototxt"), job("b", "train", "none", "--cpu")])
    local.run(folder, Cores(1, bind=True, cores=[core]), print)
    log = (folder / "logs/a.log").read_text()
    assert f"on cores {core}\n$ tinynet train none.prototxt --cpu\n" in log
    assert "$ tinynet train none --cpu\n" in (folder / "logs/b.log").read_text()


# ------------------------------------------------------------------ real trainings


def create(*arguments: str, lists: str = "lists/first") -> list[str]:
    done = command.run("jobs", "create", lists, "small/solver.prototxt", *arguments)
    assert done.status == 0, done.stderr
    return [job.name for job in read(Path(lists)).jobs]


def start(*arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
    return children.start(
        [sys.executable, "-m", "tinynet", "jobs", *arguments],
        environment=small_runs.environment(),
        terminal=terminal,
    )


def wait_for_history(*runs: str) -> None:
    """Wait until every run has gone past its first iterations."""
    for run in runs:
        path = Path("runs/small", run, "history.jsonl")
        while not (path.exists() and '"iteration": 20' in path.read_text()):
            time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
def test_a_stop_lets_every_run_leave_a_snapshot_and_exits_75(folder: Path, name: str) -> None:
    pytest.importorskip("torch")
    small_runs.write_files(Path())
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    runner = start("local", "lists/first", "--processes", "2")
    wait_for_history("seed1", "seed2")
    os.kill(runner.pid, getattr(signal, name))
    _, errors = runner.communicate()
    assert runner.returncode == 75, errors
    assert f"stopped by {name} with 2 of 2 jobs not done" in errors.splitlines()[-1]
    assert set(named(folder).values()) == {"stopped"}
    for seed in ("seed1", "seed2"):
        run = small_runs.record(Path(), Path("runs/small") / seed)
        assert run["state"] == "stopped" and run["message"] == f"stopped by {name}"
        assert (
            Path("runs/small") / seed / f"snapshots/snapshot_iter_{run['iteration']}.caffemodel"
        ).exists()


def test_a_terminal_that_is_closed_stops_every_run_as_any_stop_does(folder: Path) -> None:
    pytest.importorskip("torch")
    small_runs.write_files(Path())
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    ours, terminal = os.openpty()
    runner = start("local", "lists/first", "--processes", "2", terminal=terminal)
    os.close(terminal)
    wait_for_history("seed1", "seed2")
    os.close(ours)
    assert runner.wait() == 75
    for name, found in states.states(folder).items():
        assert found.name == "stopped" and "SIGHUP" in found.message, name


def test_a_time_limit_within_which_nothing_is_learned_is_not_tried_for_ever(folder: Path) -> None:
    """The warning of a batch system (SIGUSR1), twice, in the test before the first iteration."""
    pytest.importorskip("torch")
    small_runs.write_files(Path())
    solver = Path("small/solver.prototxt")
    solver.write_text(small_runs.SOLVER.replace("test_iter: 2\n", "test_iter: 100000000\n"))
    create("--seeds", "1", "--no-evaluate")
    for status, words in ((75, "the same command resumes it"), (1, "give more time")):
        child = start("run", str(folder), "small-seed1", "--cpu")
        log = Path("runs/small/seed1/train.log")
        while not (log.exists() and "Testing net" in log.read_text()):
            time.sleep(0.05)
        child.send_signal(signal.SIGUSR1)
        _, errors = child.communicate()
        assert child.returncode == status and words in errors, errors
        assert named(folder) == {"small-seed1": "stopped"}
        log.unlink()


def test_two_starters_share_a_list_and_a_killed_ones_job_resumes_elsewhere(folder: Path) -> None:
    pytest.importorskip("torch")
    small_runs.write_files(Path())
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    first = start("local", "lists/first", "--processes", "1")
    wait_for_history("seed1")
    second = start("local", "lists/first", "--processes", "1")
    wait_for_history("seed2")  # so the second left the first job alone
    assert named(folder) == {"small-seed1": "running", "small-seed2": "running"}
    first.kill()
    first.communicate()
    while named(folder)["small-seed1"] == "running":  # until its command has left a snapshot
        time.sleep(0.05)
    killed = small_runs.record(Path(), Path("runs/small/seed1"))
    assert killed["state"] == "stopped" and killed["iteration"] > 0
    third = start("local", "lists/first", "--processes", "1")
    while len(small_runs.record(Path(), Path("runs/small/seed1"))["sessions"]) < 2:
        time.sleep(0.05)
    assert small_runs.record(Path(), Path("runs/small/seed1"))["sessions"][1]["from"] > 0
    for runner in (second, third):
        runner.terminate()
        assert runner.wait() == 75
        runner.communicate()


def test_the_state_of_every_run_is_shown_from_its_directory(folder: Path) -> None:
    pytest.importorskip("torch")
    small_runs.write_files(Path())
    assert create("--seeds", "1", "--no-evaluate") == ["small-seed1"]
    done = command.run("jobs", "local", folder, "--processes", 1, "--json")
    assert done.status == 0 and json.loads(done.stdout)["begun"] == ["small-seed1"]
    small_runs.train(Path(), "--seed", "2", "--max-iter", "24", "--cpu")  # by hand
    create("--seeds", "2,3", "--no-evaluate")
    found = json.loads(command.run("jobs", "status", folder, "--json").stdout)
    assert [entry["state"] for entry in found] == ["done", "done", "waiting"]
    last = small_runs.history(Path(), Path("runs/small/seed1"))[-1]
    assert found[0]["iteration"] == found[0]["max_iter"] == 24
    assert found[0]["val_accuracy"] == last["val_accuracy"]
    assert found[2]["iteration"] is None and found[2]["run"] == "runs/small/seed3"
    text = command.run("jobs", "status", folder).stdout
    assert text.splitlines()[-1] == "2 done, 1 waiting"
    (Path("runs/small/seed1/run.json")).write_text("{")
    broken = json.loads(command.run("jobs", "status", folder, "--json").stdout)
    assert "run.json" in broken[0]["message"] and broken[1]["state"] == "done"


def test_time_left_is_what_the_last_records_say(folder: Path) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1", "--no-evaluate")
    run = Path("runs/small/seed1")
    run.mkdir(parents=True)
    records = [{"iteration": n, "seconds": 0.5 * n} for n in range(0, 101, 10)]
    (run / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    state = {"state": "stopped", "iteration": 100, "max_iter": 300, "message": "stopped by SIGHUP"}
    (run / "run.json").write_text(json.dumps(state))
    (found,) = json.loads(command.run("jobs", "status", folder, "--json").stdout)
    assert found["state"] == "stopped" and found["message"] == "stopped by SIGHUP"
    assert found["seconds_left"] == pytest.approx(200 * 0.5)


@pytest.mark.parametrize("with_list", [True, False])
def test_a_run_that_diverged_is_called_so(folder: Path, with_list: bool) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1", "--no-evaluate")
    run = Path("runs/small/seed1")
    if with_list:
        end(folder, read(folder).jobs[0], 1)
    run.mkdir(parents=True)
    state = {"state": "diverged", "max_iter": 300, "message": "the training loss is not finite"}
    (run / "run.json").write_text(json.dumps(state))
    (found,) = json.loads(command.run("jobs", "status", folder, "--json").stdout)
    assert (found["state"], found["message"]) == ("diverged", "the training loss is not finite")
    assert command.run("jobs", "status", folder).stdout.splitlines()[-1] == "1 diverged"


def test_a_run_begun_without_the_list_runs_while_its_lock_is_held(folder: Path) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1", "--no-evaluate")
    run = RunPaths(Path("runs/small/seed1"))
    Path(run.root).mkdir(parents=True)
    run.run_json.write_text(json.dumps({"state": "running", "host": "far", "pid": 7}))
    for held, state in ((True, "running"), (False, "stopped")):
        with lock.hold(run) if held else contextlib.nullcontext():
            (found,) = job_status.statuses(folder)
        assert found.state == state and "process 7 on far" in found.message


# ------------------------------------------------------------------ making lists


def test_an_option_that_train_does_not_take_is_refused_when_the_list_is_made(folder: Path) -> None:
    small_runs.write_files(Path())
    Path("small/deploy.prototxt").write_text("")  # for the evaluation
    done = command.run("jobs", "create", folder, "small/solver.prototxt", "--train", "--max-it 5")
    assert done.status == 2 and "--max-it" in done.stderr and not folder.exists()
    done = command.run(
        "jobs", "create", folder, "small/solver.prototxt", "--train", "--set base_lr=nan"
    )
    assert done.status == 2 and "base_lr is nan" in done.stderr and not folder.exists()
    done = command.run("jobs", "create", folder, "small/solver.prototxt", "--train", "'")
    assert done.status == 2 and "--train '" in done.stderr
    done = command.run("jobs", "create", folder, "none/solver.prototxt", "--seeds", "1")
    assert done.status == 1 and "none/solver.prototxt: no such solver" in done.stderr
    done = command.run("jobs", "create", folder)
    assert done.status == 2 and not folder.exists()
    for seeds in ("x", "3-1", "1,,2", "-1", "1-99999999"):
        done = command.run("jobs", "create", folder, "small/solver.prototxt", "--seeds", seeds)
        assert done.status == 2 and "Traceback" not in done.stderr


def test_the_whole_dissection_is_one_list_whose_average_comes_last(folder: Path) -> None:
    prototxt = Path(__file__).parents[2] / "prototxt"
    done = command.run(
        "jobs", "create", folder, "--stage", "1-8", "--seeds", "1,2", "--prototxt", prototxt
    )
    assert done.status == 0, done.stderr
    jobs = read(folder).jobs
    assert len(jobs) == 7 * 2 + 11 + 1
    assert jobs[0].name == "stage1_simple-seed1" and jobs[0].run == Path("runs/stage1_simple/seed1")
    assert jobs[14].name == "stage8_ensemble-member01"
    assert jobs[-1].name == "ensemble" and jobs[-1].after == tuple(j.name for j in jobs[14:25])
    assert [c[0] for j in jobs for c in j.commands] == ["train", "evaluate"] * 25 + ["ensemble"]
    done = command.run("jobs", "create", folder, "--member", "12", "--prototxt", prototxt)
    assert done.status == 2 and "members 1 to 11" in done.stderr


def test_jobs_that_had_failed_before_come_with_the_option_that_begins_them_again() -> None:
    failed = {"a": states.State(states.FAILED, "no data")}
    with pytest.raises(TinynetError, match="a: no data.*; --retry begins"):
        local.JobsReport(failed, {}, []).require_complete(Path("list"))
    with pytest.raises(TinynetError) as caught:
        local.JobsReport(failed, {}, ["a"]).require_complete(Path("list"))
    assert "--retry" not in str(caught.value)


def test_a_stop_before_anything_ends_is_no_failure() -> None:
    report = local.JobsReport({"a": states.State(states.STOPPED)}, {}, [], None)
    with pytest.raises(StoppedEarly, match="job a stopped"):
        report.require_complete(Path("x"))


# ------------------------------------------------------------------ before anything begins


def test_without_data_it_fails_once_and_no_job_is_begun(folder: Path) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1-3", "--no-evaluate")
    Path("data").rename("elsewhere")
    done = command.run("jobs", "local", folder)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "none of its 3 jobs can begin: small-seed1: data/train_lmdb: no such data" in done.stderr
    assert set(named(folder).values()) == {"waiting"} and not Path("runs").exists()
    # a cluster's node may have what this machine has not: it is said, and the scripts are written
    batch = command.run("jobs", "slurm", folder, "--time", "1:00:00")
    assert batch.status == 0 and "as seen from here, lists/first: none of its 3" in batch.stderr
    Path("elsewhere").rename("data")
    assert common_fault(folder, again=False) is None


def test_it_is_looked_for_where_the_lists_paths_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1", "--no-evaluate")
    here = folder.resolve()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert common_fault(here, again=False) is None and Path.cwd() == tmp_path / "other"
    (tmp_path / "small/train_val.prototxt").unlink()
    assert "its net small/train_val.prototxt is not there" in str(common_fault(here, again=False))
    assert Path.cwd() == tmp_path / "other"


def test_one_job_that_can_begin_is_not_kept_from_it_by_the_others(folder: Path) -> None:
    small_runs.write_files(Path())
    create("--seeds", "1", "--no-evaluate", "--engine", "caffe", "--caffe-python", "/bin/ls")
    assert "is not a Python that imports caffe" in str(common_fault(folder, again=False))
    add_jobs(folder, [job("other", "stages")])
    assert common_fault(folder, again=False) is None
