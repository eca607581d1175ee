"""Where the data stood at a snapshot, for an engine that does not say so: against counting it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run import small_runs
from tests.run.small_runs import RUN, train
from tinynet.run import prepare, resume

TRAIN, VAL = 60, 20  # records of the small runs
BATCH, TEST_BATCH = 8, 6


def write(folder: Path, solver: str = "") -> prepare.Prepared:
    net = small_runs.NET.replace("batch_size: 10", f"batch_size: {BATCH}", 1)
    net = net.replace("batch_size: 10", f"batch_size: {TEST_BATCH}", 1)
    (folder / "small/train_val.prototxt").write_text(net)
    path = folder / "small/solver.prototxt"
    path.write_text(small_runs.SOLVER + solver)
    return prepare.load(path)


def walk(solver: Any, iteration: int) -> tuple[int, int]:
    """Records that the training and the test net have taken, by Caffe's own loop."""
    trained = tested = 0
    for i in range(iteration):
        if i % solver.test_interval == 0 and (i > 0 or solver.test_initialization):
            tested += solver.test_iter[0] * TEST_BATCH
        trained += solver.iter_size * BATCH
    return trained, tested


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    iteration=st.integers(0, 400),
    interval=st.integers(1, 50),
    batches=st.integers(1, 9),
    iter_size=st.integers(1, 3),
    initial=st.booleans(),
)
def test_skipping_leads_to_the_record_where_an_unbroken_run_is(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    iteration: int,
    interval: int,
    batches: int,
    iter_size: int,
    initial: bool,
) -> None:
    monkeypatch.chdir(folder)
    prepared = write(folder)
    solver = prepared.solver
    solver.test_interval, solver.iter_size, solver.test_initialization = (
        interval,
        iter_size,
        initial,
    )
    solver.test_iter[0] = batches
    train_skip, test_skip = resume.skips(prepared, iteration)
    assert (train_skip.net, test_skip.net) == (0, 1)
    trained, tested = walk(solver, iteration)
    assert train_skip.batches * BATCH % TRAIN == trained % TRAIN
    assert test_skip.batches * TEST_BATCH % VAL == tested % VAL
    # never more than a round of the data after which all begins again
    assert train_skip.batches < 15 and test_skip.batches < 10


def test_real_caffe_resumes_exactly_where_nothing_is_random(
    folder: Path, caffe_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of an epoch, with tests that leave the validation set in its middle."""
    monkeypatch.chdir(folder)
    write(folder)
    steps = ("--engine", "caffe", "--snapshot", "5")
    assert train(folder, *steps, "--max-iter", "23", "--name", "whole").returncode == 0
    assert train(folder, *steps, "--max-iter", "11", "--name", "seed7").returncode == 0
    child = train(folder, *steps, "--max-iter", "23", "--resume")
    assert child.returncode == 0, child.stderr
    assert "nothing in this net is drawn at random" in child.stderr
    whole = folder / "runs/small/whole/snapshots"
    for name in ("snapshot_iter_23.caffemodel",):
        assert (folder / RUN / "snapshots" / name).read_bytes() == (whole / name).read_bytes()

    def scores(run: Path) -> list[tuple[int, float, float]]:
        found = small_runs.history(folder, run)
        return [
            (r["iteration"], r["val_loss"], r["val_accuracy"]) for r in found if "val_loss" in r
        ]

    assert scores(RUN) == scores(Path("runs/small/whole"))


def test_what_is_drawn_anew_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    prepared = write(folder)
    assert resume.lost(prepared) == []
    prepared.train_net.layer[0].transform_param.crop_size = 4
    prepared.train_net.layer[0].transform_param.mirror = True
    prepared.train_net.layer.add(name="drop", type="Dropout")
    assert resume.lost(prepared) == ["crops", "mirrors", "dropout masks"]
