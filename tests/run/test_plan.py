"""A plan follows from the existing files, writes nothing, and is remade if they change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.run.small_runs import RUN, Trained, record
from tinynet.errors import TinynetError
from tinynet.run import driver, lock
from tinynet.run import plan as plans
from tinynet.run.paths import RunPaths
from tinynet.run.request import TrainingRequest

PATHS = RunPaths(RUN)


def request(**more: Any) -> TrainingRequest:
    return TrainingRequest(Path("small/solver.prototxt"), PATHS, cpu=True, quiet=True, **more)


def content() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def finished(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The record of a finished run in the working directory."""
    trained("torch", tmp_path)
    monkeypatch.chdir(tmp_path)
    return PATHS.run_json.read_text()


def cut_short(finished: str) -> None:
    """Make the run look killed after its second newest snapshot."""
    PATHS.run_json.write_text(json.dumps({**json.loads(finished), "state": "running"}))
    for path in PATHS.snapshots.glob("*_iter_24.*"):
        path.unlink()


def test_planning_a_run_writes_nothing(finished: str) -> None:
    before = content()
    assert plans.make(request()) is None
    longer = plans.make(request(resume=True, overrides={"max_iter": "32"}))
    assert longer is not None and longer.run.max_iter == 32
    assert longer.stored is not None and longer.stored.max_iter == 24
    assert content() == before
    cut_short(finished)
    before = content()
    assert plans.make(request()) is not None
    with pytest.raises(TinynetError, match=r"unfinished and was begun with other .*base_lr 0.1"):
        plans.make(request(overrides={"base_lr": "0.2"}))
    with pytest.raises(TinynetError, match=r"begun with other settings \(--weights\)"):
        driver.train(request(weights=[str(PATHS.snapshots / "snapshot_iter_8.caffemodel")]), print)
    assert content() == before


def test_a_finished_run_is_not_said_to_be_done_with_other_weights_or_data(finished: str) -> None:
    with pytest.raises(TinynetError, match=r"finished and was begun with other .*\(--weights\)"):
        plans.make(request(weights=["other.caffemodel"]))
    stored = json.loads(finished)
    for entry in stored["data"]:
        entry["digest"] = "0" * 64
    PATHS.run_json.write_text(json.dumps(stored))
    with pytest.raises(TinynetError, match="finished and .*the data in .* is not the same"):
        plans.make(request())


def test_a_run_that_failed_before_its_first_snapshot_can_be_begun_anew(finished: str) -> None:
    PATHS.run_json.write_text(json.dumps({**json.loads(finished), "state": "failed"}))
    with pytest.raises(TinynetError, match="begun with other settings"):  # it can resume
        plans.make(request(overrides={"base_lr": "0.2"}))
    for path in PATHS.snapshots.iterdir():
        path.unlink()
    plan = plans.make(request(overrides={"base_lr": "0.2"}))
    assert plan is not None and plan.stored is not None and plan.stored.state == "failed"
    assert plan.run.overrides == {"base_lr": "0.2"} and plan.run.sessions == []
    with pytest.raises(TinynetError, match="begun with other settings"):
        plans.make(request(resume=True, overrides={"momentum": "0.1"}))


def test_a_run_that_another_process_ended_meanwhile_is_not_trained_again(
    finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(finished)
    log, hold = PATHS.log.read_bytes(), lock.hold

    @contextlib.contextmanager
    def hold_late(paths: RunPaths) -> Iterator[None]:
        paths.run_json.write_text(finished)  # the other process has ended, and lets go
        with hold(paths):
            yield

    monkeypatch.setattr(lock, "hold", hold_late)
    messages: list[str] = []
    assert driver.train(request(), messages.append)["state"] == "finished"
    assert len(messages) == 1 and "is finished (24 iterations)" in messages[0]
    assert PATHS.log.read_bytes() == log and len(record(Path())["sessions"]) == 1
