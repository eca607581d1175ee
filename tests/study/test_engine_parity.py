"""Parity: the measures against calculations by hand, and both engines on one small solver."""

from __future__ import annotations

import gc
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.study.small_solver import BATCH, write_small_solver
from tinynet.engine import discovery, process
from tinynet.errors import TinynetError
from tinynet.study import engine_parity as parity

ENGINE = discovery.Engine("caffe", "caffe", "/usr/bin/python3", "1.0")


@pytest.fixture
def solver(tmp_path: Path) -> Path:
    return write_small_solver(tmp_path)


def silent(label: str, done: int) -> None:
    pass


def made(
    losses: list[float], end: list[float], inputs: list[int] | None = None
) -> parity.EngineRun:
    return parity.EngineRun(
        "caffe",
        ENGINE,
        first=10,
        losses=losses,
        inputs=inputs or [0] * len(losses),
        start={"fc[0]": np.zeros(2, np.float32)},
        end={"fc[0]": np.array(end, np.float32)},
    )


def test_displacements_are_compared_by_their_relative_l2_difference() -> None:
    found = parity.compare(made([1.0], [3.0, 4.0]), made([1.0], [3.0, 4.5]))
    assert found.moved == [parity.Moved("fc[0]", 5.0, pytest.approx(0.1))]
    assert found.worst.difference == pytest.approx(0.1) and not found.agrees


def test_losses_diverge_at_a_difference_of_0_1_percent_and_inputs_at_any() -> None:
    reference = made([2.0, 2.0, 2.0, 4.0], [1.0, 0.0], [7, 8, 9, 10])
    found = parity.compare(reference, made([2.0, 2.001, 2.003, 4.1], [1.0, 0.0], [7, 8, 0, 0]))
    np.testing.assert_allclose(found.differences, [0, 0.0005, 0.0015, 0.025], atol=1e-9)
    assert (found.losses_differ_from, found.inputs_differ_from, found.largest_at) == (12, 12, 13)


def test_a_loss_that_is_not_finite_in_one_engine_alone_is_infinitely_far() -> None:
    reference = made([1.0, math.nan, math.nan], [1.0, 0.0])
    found = parity.compare(reference, made([1.0, math.nan, 3.0], [1.0, 0.0]))
    assert found.differences == [0.0, 0.0, math.inf] and found.losses_differ_from == 12


def test_a_parameter_that_must_not_move_but_does_is_infinitely_far() -> None:
    found = parity.compare(made([1.0], [0.0, 0.0]), made([1.0], [0.0, 1e-9]))
    assert found.worst.difference == math.inf


def test_both_engines_draw_the_same_and_learn_the_same(solver: Path, caffe_python: str) -> None:
    report = parity.run(parity.ParityRequest(solver, iterations=15, nudge=1e-4), silent)
    torch, yardstick = report.torch, report.yardstick
    assert torch.same_start and torch.inputs_differ_from is None and torch.agrees
    assert torch.largest < 1e-5 and torch.worst.difference < 1e-4
    # the yardstick is no copy of the reference: it started elsewhere and ended elsewhere
    assert yardstick is not None and not yardstick.same_start
    assert yardstick.run.nudged == "conv[0]" and yardstick.worst.difference > torch.worst.difference
    assert report.batch == BATCH and len(report.reference.losses) == 15
    assert min(moved.displacement for moved in torch.moved) > 1e-3, "nothing was learned"


def test_the_second_run_of_real_caffe_differs_only_in_its_number_of_threads(
    solver: Path, caffe_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = process.start_worker
    started: list[tuple[str, int | None]] = []

    def spy(engine: discovery.Engine, arguments: Any, **how: Any) -> Any:
        started.append((engine.name, how["threads"]))
        assert "--nudge" not in " ".join(map(str, arguments))
        return start(engine, arguments, **how)

    monkeypatch.setattr(process, "start_worker", spy)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    report = parity.run(parity.ParityRequest(solver, iterations=4, threads=2), silent)
    assert started == [("caffe", None), ("torch", None), ("caffe", 2)]
    assert report.yardstick is not None and report.yardstick_differs_by == "2 threads"
    assert report.yardstick.same_start and report.yardstick.agrees


def test_the_loss_of_an_iteration_is_the_mean_of_its_passes(
    caffe_python: str, tmp_path: Path
) -> None:
    solver = write_small_solver(tmp_path, passes=3)
    report = parity.run(parity.ParityRequest(solver, iterations=3), silent)
    assert report.torch.agrees and report.batch == 3 * BATCH
    made = caffe.get_solver(solver)
    losses: list[float] = []
    last = len(made.net.layers) - 1
    made.net.after_forward(
        lambda layer: losses.append(float(made.net.blobs["loss"].data)) if layer == last else None
    )
    made.step(3)
    expected = np.reshape(losses, (3, 3)).mean(axis=1)
    np.testing.assert_allclose(report.torch.run.losses, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["caffemodel", "solverstate"])
def test_both_engines_start_from_a_snapshot_even_of_a_moved_run(
    kind: str, solver: Path, caffe_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    trained = caffe.get_solver(solver)
    trained.step(12)
    trained.snapshot()
    weights = trained.net.params["conv"][0].data.copy()
    del trained  # the database is open but once in a process, and parity looks whether it is there
    gc.collect()
    (tmp_path / "moved").mkdir()
    for path in tmp_path.glob("snapshot_iter_12.*"):
        path.rename(tmp_path / "moved" / path.name)
    start = tmp_path / f"moved/snapshot_iter_12.{kind}"
    report = parity.run(parity.ParityRequest(solver, iterations=5, start=start), silent)
    assert report.torch.agrees and report.torch.same_start
    np.testing.assert_array_equal(report.reference.start["conv[0]"], weights)
    assert report.reference.first == (12 if kind == "solverstate" else 0)
    assert sorted(p.name for p in (tmp_path / "moved").iterdir()) == [
        "snapshot_iter_12.caffemodel",
        "snapshot_iter_12.solverstate",
    ]


def test_an_engine_that_aborts_is_one_error_and_leaves_no_process(
    solver: Path, caffe_python: str, tmp_path: Path
) -> None:
    net = (tmp_path / "net.prototxt").read_text().replace("crop_size: 20", "crop_size: 999")
    (tmp_path / "net.prototxt").write_text(net)
    with pytest.raises(TinynetError, match="caffe gave up|crop"):
        parity.run(parity.ParityRequest(solver, iterations=5), silent)
