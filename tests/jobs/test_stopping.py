"""Trainings of a list that are stopped or killed: what they leave, and who resumes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import children
from tests.cli import command
from tests.jobs.small_lists import create, state_names
from tests.run import small_runs
from tinynet.jobs import states

# never ends by itself: the test stops it
ENDLESS = "--max-iter 10000000 --set display=20 --set test_interval=100000 --snapshot 0"


def start(*arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
    return children.start(
        [sys.executable, "-m", "tinynet", "jobs", *arguments],
        environment=small_runs.environment(),
        terminal=terminal,
    )


def wait_for_history(*runs: str) -> None:
    """Wait until every run has passed its first iterations."""
    for run in runs:
        path = Path("runs/small", run, "history.jsonl")
        while not (path.exists() and '"iteration": 20' in path.read_text()):
            time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1", "SIGUSR2"])
def test_a_stop_lets_every_run_leave_a_snapshot_and_exits_75(small: Path, name: str) -> None:
    pytest.importorskip("torch")
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    runner = start("local", "lists/first", "--processes", "2")
    wait_for_history("seed1", "seed2")
    os.kill(runner.pid, getattr(signal, name))
    _, errors = runner.communicate()
    assert runner.returncode == 75, errors
    assert f"stopped by {name} with 2 of 2 jobs not done" in errors.splitlines()[-1]
    assert set(state_names(small).values()) == {"stopped"}
    for seed in ("seed1", "seed2"):
        run = small_runs.record(Path(), Path("runs/small") / seed)
        assert run["state"] == "stopped" and run["message"] == f"stopped by {name}"
        assert (
            Path("runs/small") / seed / f"snapshots/snapshot_iter_{run['iteration']}.caffemodel"
        ).exists()


def test_a_warning_to_all_processes_of_a_grid_engine_task_leaves_a_snapshot(small: Path) -> None:
    """As Grid Engine's shepherd sends it: to the process group of the script."""
    pytest.importorskip("torch")
    create("--seeds", "1", "--no-evaluate", "--train", ENDLESS)
    assert command.run("jobs", "sge", small).status == 0
    variables = small_runs.environment(SGE_TASK_ID="1")
    task = children.start(["bash", small / "sge-1.sh"], environment=variables)
    wait_for_history("seed1")
    os.killpg(task.pid, signal.SIGUSR2)
    _, errors = task.communicate()
    assert task.returncode == 99, errors  # back into the queue
    run = small_runs.record(Path(), Path("runs/small/seed1"))
    assert run["state"] == "stopped" and run["iteration"] > 0
    assert state_names(small) == {"small-seed1": "stopped"}


def test_closing_the_terminal_stops_every_run_like_any_signal(small: Path) -> None:
    pytest.importorskip("torch")
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    ours, terminal = os.openpty()
    runner = start("local", "lists/first", "--processes", "2", terminal=terminal)
    os.close(terminal)
    wait_for_history("seed1", "seed2")
    os.close(ours)
    assert runner.wait() == 75
    for name, found in states.states(small).items():
        assert found.name == "stopped" and "SIGHUP" in found.message, name


def test_a_time_limit_too_short_for_progress_is_not_retried_for_ever(small: Path) -> None:
    """SIGUSR1, as from a batch system, arrives twice during the test before the first iteration."""
    pytest.importorskip("torch")
    solver = Path("small/solver.prototxt")
    solver.write_text(small_runs.SOLVER.replace("test_iter: 2\n", "test_iter: 100000000\n"))
    create("--seeds", "1", "--no-evaluate")
    for status, words in ((75, "the same command resumes it"), (1, "give more time")):
        child = start("run", str(small), "small-seed1", "--cpu")
        log = Path("runs/small/seed1/train.log")
        while not (log.exists() and "Testing net" in log.read_text()):
            time.sleep(0.05)
        child.send_signal(signal.SIGUSR1)
        _, errors = child.communicate()
        assert child.returncode == status and words in errors, errors
        assert state_names(small) == {"small-seed1": "stopped"}
        log.unlink()


def test_two_runners_share_a_list_and_the_job_of_a_killed_one_resumes_in_the_other(
    small: Path,
) -> None:
    pytest.importorskip("torch")
    create("--seeds", "1,2", "--no-evaluate", "--train", ENDLESS)
    first = start("local", "lists/first", "--processes", "1")
    wait_for_history("seed1")
    second = start("local", "lists/first", "--processes", "1")
    wait_for_history("seed2")  # so the second left the first job alone
    assert state_names(small) == {"small-seed1": "running", "small-seed2": "running"}
    first.kill()
    first.communicate()
    while state_names(small)["small-seed1"] == "running":  # until its command has left a snapshot
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
