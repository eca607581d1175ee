"""A run resumes on either engine, moved or killed, where an uninterrupted one would be.

Where the data stood at a snapshot, for an engine that does not say so, is held against counting it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run import small_runs
from tests.run.small_runs import RUN, Trained, history, record, train
from tinynet.caffeformat import binary, schema
from tinynet.run import resume
from tinynet.run.training_prototxt import TrainingPrototxt, load

TRAIN, VAL = 60, 20  # records of the small runs
BATCH, TEST_BATCH = 8, 6


def write(folder: Path, solver: str = "") -> TrainingPrototxt:
    net = small_runs.NET.replace("batch_size: 10", f"batch_size: {BATCH}", 1)
    net = net.replace("batch_size: 10", f"batch_size: {TEST_BATCH}", 1)
    (folder / "small/train_val.prototxt").write_text(net)
    path = folder / "small/solver.prototxt"
    path.write_text(small_runs.SOLVER + solver)
    return load(path)


def walk(solver: Any, iteration: int) -> tuple[int, int]:
    """Records read by the training and the test net, counted by Caffe's own loop."""
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
def test_skipping_ends_at_the_record_of_an_uninterrupted_run(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    iteration: int,
    interval: int,
    batches: int,
    iter_size: int,
    initial: bool,
) -> None:
    monkeypatch.chdir(folder)
    prototxt = write(folder)
    solver = prototxt.solver
    solver.test_interval, solver.iter_size, solver.test_initialization = (
        interval,
        iter_size,
        initial,
    )
    solver.test_iter[0] = batches
    train_skip, test_skip = resume.skips(prototxt, iteration)
    assert (train_skip.net, test_skip.net) == (0, 1)
    trained, tested = walk(solver, iteration)
    assert train_skip.batches * BATCH % TRAIN == trained % TRAIN
    assert test_skip.batches * TEST_BATCH % VAL == tested % VAL
    # never more than one period, after which both readers are at the start again
    assert train_skip.batches < 15 and test_skip.batches < 10


def test_real_caffe_resumes_exactly_where_nothing_is_random(
    folder: Path, caffe_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within an epoch, with tests that end within the validation set."""
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


def test_random_draws_that_differ_after_a_resume_are_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    prototxt = write(folder)
    assert resume.not_restored(prototxt) == []
    prototxt.train_net.layer[0].transform_param.crop_size = 4
    prototxt.train_net.layer[0].transform_param.mirror = True
    prototxt.train_net.layer.add(name="drop", type="Dropout")
    assert resume.not_restored(prototxt) == ["crops", "mirrors", "dropout masks"]


def weights(folder: Path, iteration: int, run: Path = RUN) -> np.ndarray:
    path = folder / run / "snapshots" / f"snapshot_iter_{iteration}.caffemodel"
    net = binary.read(path, schema.NetParameter)
    return np.concatenate([blob.data for layer in net.layer for blob in layer.blobs])


@pytest.mark.parametrize("second", ["caffe", "torch"])
def test_a_run_resumes_on_the_other_engine(trained: Trained, tmp_path: Path, second: str) -> None:
    first = "torch" if second == "caffe" else "caffe"
    trained(first, tmp_path)
    # 24 iterations of 10 images are four passes over the data, so a resumed reader, which
    # starts again at the first record, is where an uninterrupted one would be
    child = train(tmp_path, "--engine", second, "--max-iter", "32", "--resume")
    assert child.returncode == 0, child.stderr
    assert "resuming at iteration 24" in child.stderr
    sessions = [(s["engine"], s["from"], s["to"]) for s in record(tmp_path)["sessions"]]
    assert sessions == [(first, 0, 24), (second, 24, 32)]
    numbers = [entry["iteration"] for entry in history(tmp_path)]
    assert numbers == [0, 4, 8, 10, 12, 16, 20, 24, 28, 30, 32]
    child = train(tmp_path, "--engine", first, "--name", "whole", "--max-iter", "32")
    assert child.returncode == 0, child.stderr
    whole = weights(tmp_path, 32, Path("runs/small/whole"))
    np.testing.assert_allclose(weights(tmp_path, 32), whole, rtol=1e-4, atol=1e-6)


def test_a_run_killed_before_its_first_snapshot_starts_again(
    trained: Trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    shutil.rmtree(tmp_path / RUN / "snapshots")
    run = record(tmp_path)
    (tmp_path / RUN / "run.json").write_text(json.dumps({**run, "state": "running"}))
    child = train(tmp_path, "--engine", "torch")
    assert child.returncode == 0, child.stderr
    assert "no snapshot yet" in child.stderr
    assert [entry["iteration"] for entry in history(tmp_path)] == [0, 4, 8, 10, 12, 16, 20, 24]


def test_a_moved_run_resumes_from_its_own_directory(
    trained: Trained, engine: str, tmp_path: Path
) -> None:
    trained(engine, tmp_path)
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    moved = Path("elsewhere/small/seed7")
    child = train(tmp_path, str(moved), "--engine", engine, "--max-iter", "28")
    assert child.returncode == 0, child.stderr
    assert record(tmp_path, moved)["sessions"][-1]["from"] == 24
    assert not (tmp_path / "runs").exists()


def test_a_torn_newest_snapshot_is_passed_over_with_a_warning(
    trained: Trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    model = tmp_path / RUN / "snapshots/snapshot_iter_24.caffemodel"
    model.write_bytes(model.read_bytes()[:-30])
    child = train(tmp_path, "--engine", "torch", "--max-iter", "28", "--resume")
    assert child.returncode == 0, child.stderr
    assert "passed over" in child.stderr and "snapshot_iter_24.caffemodel" in child.stderr
    assert record(tmp_path)["sessions"][-1]["from"] == 16
