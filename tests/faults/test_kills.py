"""After SIGKILL at any moment, of parent or worker, nothing before the last snapshot is lost, and
the final weights are identical to those of a run that was never interrupted."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults.conftest import ITERATIONS
from tests.faults.trials import Job, Tally
from tests.run import small_stages


def kill_then_finish(job: Job, kills: int, kind: str, tally: Tally, longest: float) -> None:
    """Kill the run at random within ``longest`` seconds, ``kills`` times, then let it finish."""
    moments = random.Random(7)
    for _ in range(kills):
        child = job.start()
        ends = time.monotonic() + moments.uniform(0, longest)
        job.wait_until(lambda ends=ends: time.monotonic() > ends)
        if child.poll() is not None:
            break  # it finished first
        before = job.sealed()
        job.kill(moments.choice(["parent", "worker"]))
        tally.add(kind, job.sealed() >= before)
        assert job.sealed() >= before
    status, errors = job.finish()
    assert status == 0, errors
    sessions = job.record()["sessions"]
    assert all(after["from"] >= before["from"] for before, after in zip(sessions, sessions[1:]))


def assert_same_result(uninterrupted: Job, job: Job, last: int) -> None:
    assert job.weights(last) == uninterrupted.weights(last)
    assert job.history() == uninterrupted.history()


@pytest.mark.parametrize("kills", [2, pytest.param(35, marks=pytest.mark.long)])
def test_kills_leave_no_trace_in_weights_and_history(
    uninterrupted: Job, job: Job, kills: int, tally: Tally
) -> None:
    kill_then_finish(job, kills, "SIGKILL at a random moment, small stage 7", tally, longest=6.0)
    assert_same_result(uninterrupted, job, ITERATIONS)


def kill_while_writing(job: Job, kills: int, kind: str, tally: Tally) -> None:
    moments = random.Random(3)
    for _ in range(kills):
        job.start()
        written = job.sealed()
        if not job.wait_until(lambda written=written: job.sealed() > written and job.is_writing()):
            break
        time.sleep(moments.uniform(0, 0.25))  # into the model, the state, or what comes after
        before = job.sealed()
        job.kill(moments.choice(["parent", "worker"]))
        assert job.sealed() >= before
        tally.add(kind)


@pytest.mark.long
def test_a_kill_while_full_size_stage_7_writes_a_snapshot_loses_nothing_before_it(
    origin: Path, tmp_path: Path, tally: Tally
) -> None:
    """57 MB of weights and 57 MB of history, after every iteration."""
    small_stages.write_data(tmp_path)
    last = 60
    solver = small_stages.write_stage(
        tmp_path, 7, full_size=True, max_iter=last, snapshot=1, display=5, test_interval=20
    )
    uninterrupted, job = Job(tmp_path / "uninterrupted", solver), Job(tmp_path / "killed", solver)
    for each in (uninterrupted, job):
        each.folder.mkdir()
    uninterrupted.run = uninterrupted.folder / "runs/stage7/seed1"
    job.run = job.folder / "runs/stage7/seed1"
    status, errors = uninterrupted.finish("--snapshot", "1")
    assert status == 0, errors
    kill_while_writing(job, 16, "SIGKILL while full stage 7 writes a snapshot", tally)
    status, errors = job.finish()
    assert status == 0, errors
    assert_same_result(uninterrupted, job, last)


@pytest.mark.long
def test_a_killed_run_of_real_caffe_resumes_from_the_last_whole_snapshot(
    tmp_path: Path, caffe_python: str, tally: Tally
) -> None:
    """Stage 1 draws nothing at random, so real Caffe resumes exactly once its data is skipped."""
    small_stages.write_data(tmp_path)
    solver = small_stages.write_stage(tmp_path, 1, max_iter=400, snapshot=1, display=50)
    uninterrupted = Job(tmp_path / "uninterrupted", solver, "caffe")
    job = Job(tmp_path / "killed", solver, "caffe")
    for each in (uninterrupted, job):
        each.folder.mkdir()
        each.run = each.folder / "runs/stage1/seed1"
    assert uninterrupted.finish()[0] == 0
    moments = random.Random(2)
    for _ in range(8):
        job.start()
        written = job.sealed()
        if not job.wait_until(lambda written=written: job.sealed() > written + 3):
            break
        time.sleep(moments.uniform(0, 0.05))
        before = job.sealed()
        job.kill(moments.choice(["parent", "worker"]))
        tally.add("SIGKILL of real Caffe, which writes in place")
        assert job.sealed() >= before
    status, errors = job.finish()
    assert status == 0, errors
    assert job.weights(400) == uninterrupted.weights(400)
