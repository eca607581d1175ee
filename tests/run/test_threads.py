"""A run's number of threads is chosen once, recorded, kept, and used by its workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.run.small_runs import RUN, train


def threads_of(state: Path) -> int:
    """The number of threads with which the torch engine computed a complete state."""
    return int(json.loads(state.read_text())["made_with"]["threads"])


def test_a_run_keeps_its_initial_number_of_threads(folder: Path) -> None:
    pytest.importorskip("torch")
    begun = train(folder, "--engine", "torch", "--cpu", "--max-iter", "8")
    assert begun.returncode == 0 and "thread" not in begun.stderr, begun.stderr
    record = json.loads((folder / RUN / "run.json").read_text())
    assert record["threads"] == 1  # OMP_NUM_THREADS of these tests
    # as if it had begun on a machine with three threads
    (folder / RUN / "run.json").write_text(json.dumps({**record, "threads": 3}))
    resumed = train(folder, "--engine", "torch", "--cpu", "--resume", "--max-iter", "16")
    assert resumed.returncode == 0, resumed.stderr
    (line,) = [line for line in resumed.stderr.splitlines() if "thread(s)" in line]
    assert "the run keeps the 3 thread(s) that it was begun with" in line
    assert "a new run would use 1" in line
    assert json.loads((folder / RUN / "run.json").read_text())["threads"] == 3
    (state,) = (folder / RUN / "snapshots").glob("*_iter_16.complete.json")
    assert threads_of(state) == 3


def test_a_run_of_an_earlier_version_gets_its_number_of_threads_on_resume(folder: Path) -> None:
    pytest.importorskip("torch")
    assert train(folder, "--engine", "torch", "--cpu", "--max-iter", "8").returncode == 0
    path = folder / RUN / "run.json"
    record = json.loads(path.read_text())
    del record["threads"]
    path.write_text(json.dumps(record))
    resumed = train(folder, "--engine", "torch", "--cpu", "--resume", "--max-iter", "16")
    assert resumed.returncode == 0 and "thread(s)" not in resumed.stderr, resumed.stderr
    assert json.loads(path.read_text())["threads"] == 1
