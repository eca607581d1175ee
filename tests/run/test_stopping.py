"""Runs stopped from a terminal, by a batch system or by the death of their process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.run import small_runs
from tests.run.small_runs import RUN, history, last_line, record, train
from tinynet.caffeformat import binary, schema


def wait_for(
    folder: Path, iteration: int, child: subprocess.Popen[Any], terminal: int | None = None
) -> None:
    """Wait until the run has displayed an iteration, reading its terminal output meanwhile."""
    path = folder / RUN / "history.jsonl"
    while child.poll() is None:
        if path.exists() and any(e["iteration"] >= iteration for e in history_so_far(path)):
            return
        if terminal is not None and select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 1 << 16)
        time.sleep(0.02)
    raise AssertionError(f"the run ended early: {child.communicate()}")


def history_so_far(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


LONG = ("--max-iter", "100000000", "--snapshot", "0", "--set", "display=100")


def start(folder: Path, *arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
    return children.start(
        small_runs.command("small/solver.prototxt", *LONG, *arguments),
        folder,
        environment=small_runs.environment(),
        stdout=subprocess.PIPE,
        terminal=terminal,
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_leaves_a_snapshot_and_exits_75(
    folder: Path, engine: str, name: str
) -> None:
    child = start(folder, "--engine", engine)
    wait_for(folder, 100, child)
    os.killpg(child.pid, getattr(signal, name))  # as a terminal or a batch system does
    _, errors = child.communicate()
    assert child.returncode == 75, errors
    final = errors.strip().splitlines()[-1]
    assert name in final and "the same command resumes it" in final
    run = record(folder)
    assert run["state"] == "stopped" and run["iteration"] >= 100
    state = folder / RUN / "snapshots" / f"snapshot_iter_{run['iteration']}.solverstate"
    assert binary.read(state, schema.SolverState).iter == run["iteration"]
    numbers = [entry["iteration"] for entry in history(folder)]
    assert numbers == sorted(set(numbers)) and numbers[-1] < run["iteration"]


def test_closing_the_terminal_stops_the_run_with_a_snapshot(folder: Path) -> None:
    """As when a connection breaks: SIGHUP arrives, and no output can be shown."""
    pytest.importorskip("torch")
    ours, terminal = os.openpty()
    child = start(folder, "--engine", "torch", "--cpu", terminal=terminal)
    os.close(terminal)
    wait_for(folder, 100, child, ours)
    os.close(ours)
    assert child.wait() == 75
    run = record(folder)
    assert (run["state"], run["message"]) == ("stopped", "stopped by SIGHUP")
    assert (folder / RUN / f"snapshots/snapshot_iter_{run['iteration']}.caffemodel").exists()


def test_a_worker_dies_with_its_parent(folder: Path, engine: str) -> None:
    child = start(folder, "--engine", engine)
    wait_for(folder, 100, child)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    assert len(children) == 1
    child.kill()
    child.communicate()
    while True:  # the kernel signals the worker; the test hangs if the worker stays
        try:
            state = Path(f"/proc/{children[0]}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            break
        if state in "ZX":
            break
        time.sleep(0.02)
    assert record(folder)["state"] == "running"  # no process was left to change it


def test_a_second_process_on_the_same_run_is_refused_and_told_the_holder(folder: Path) -> None:
    pytest.importorskip("torch")
    child = start(folder, "--engine", "torch")
    wait_for(folder, 100, child)
    second = train(folder, "--engine", "torch", *LONG)
    child.kill()
    child.communicate()
    assert second.returncode == 1
    assert f"process {child.pid} on" in last_line(second)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_run_directory_that_was_moved_ends_the_run_and_nothing_is_written_where_it_was(
    folder: Path, replaced: bool
) -> None:
    child = start(folder, "--snapshot", "100")
    wait_for(folder, 200, child)
    run, moved = folder / RUN, folder / "moved"
    run.rename(moved)
    if replaced:
        run.mkdir()
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert errors.splitlines()[-1] == (
        f"tinynet: {RUN}: the run directory was moved or removed while the run trained; "
        "move it back, and the same command resumes it from its last snapshot"
    )
    if replaced:
        assert list(run.iterdir()) == []
        run.rmdir()
    assert not run.exists()
    moved.rename(run)
    child = start(folder, "--snapshot", "100")
    wait_for(folder, history(folder)[-1]["iteration"] + 100, child)
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 75
