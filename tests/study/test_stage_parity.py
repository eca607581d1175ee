"""Both engines train the generated stages on real images, as long as rounding lets them agree."""

from __future__ import annotations

import gc
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.test_stages_against_caffe import CLASSES, write_images, write_solver
from tinynet.caffeformat import schema, text
from tinynet.dataset.convert import convert
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import stage
from tinynet.study import engine_parity as parity

ITERATIONS = 100
MANY_ITERATIONS = 1000
BATCH = 16
# allowed factor over Caffe's distance from its nudged run: both grow from a rounding error, which
# doubles every iteration or two, and one of them may begin a few iterations before the other
AS_NEAR = 10
# allowed factor in the number of iterations: a tie of max pooling may break in the first one
SOONER = 4


def silent(label: str, done: int) -> None:
    pass


@pytest.fixture(scope="module")
def solvers(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stages generated for 20 classes of real images, with small batches."""
    folder = tmp_path_factory.mktemp("stages")
    convert(images / "tiny-imagenet-20.zip", folder / "lmdb")
    data = dataset.describe(folder / "lmdb")
    stages = [stage(number) for number in range(1, 8)]
    overrides = Overrides(batch_size=BATCH)
    generate.write(generate.generate(folder / "prototxt", data, stages, overrides))
    return folder / "prototxt"


def learned_snapshot(solver_path: Path) -> Path:
    """The solverstate of a run whose loss is a fifth below that of the initial plateau."""
    made = caffe.get_solver(solver_path)
    losses: list[float] = []
    while len(losses) < 25 or statistics.fmean(losses[-25:]) > 0.8 * math.log(CLASSES):
        assert len(losses) < 1500, f"the loss does not fall: {losses[-25:]}"
        made.step(1)
        losses.append(float(made.net.blobs["loss"].data))
    made.snapshot()
    prefix = text.read(solver_path, schema.SolverParameter).snapshot_prefix
    state = Path(f"{prefix}_iter_{made.iter}.solverstate")
    del made  # a database is open but once in a process, and parity looks whether it is there
    gc.collect()
    return state


def assert_as_near_as_caffe_to_itself(report: parity.ParityReport) -> None:
    """Weights and inputs equal; losses and displacements within limits or the yardstick."""
    found, yardstick = report.torch, report.yardstick
    assert yardstick is not None
    assert found.same_start and found.inputs_differ_from is None
    assert found.largest <= max(parity.LOSS_LIMIT, AS_NEAR * yardstick.largest)
    assert found.worst.difference <= max(
        parity.DISPLACEMENT_LIMIT,
        AS_NEAR * yardstick.worst.difference,
    )
    assert_parts_no_sooner(report)
    losses = report.reference.losses
    # runs that have diverged still learn alike: the second half's mean loss
    half = len(losses) // 2
    means = [statistics.fmean(run.losses[half:]) for run in (report.reference, found.run)]
    assert abs(means[1] / means[0] - 1) < 0.05


def assert_parts_no_sooner(report: parity.ParityReport) -> None:
    """Losses agree for about as many iterations as those of two runs of real Caffe."""
    found, yardstick = report.torch, report.yardstick
    assert yardstick is not None
    together = [
        len(report.reference.losses) if at is None else at - report.reference.first
        for at in (found.losses_differ_from, yardstick.losses_differ_from)
    ]
    assert together[0] >= together[1] / SOONER, together


def run(solvers: Path, number: int, iterations: int, **more: Any) -> parity.ParityReport:
    solver = solvers / stage(number).name / "solver.prototxt"
    return parity.run(
        parity.ParityRequest(solver, iterations=iterations, nudge=1e-6, **more), silent
    )


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 8))
def test_a_fresh_stage_stays_as_close_to_real_caffe_as_caffe_to_itself(
    number: int, solvers: Path, caffe_python: str
) -> None:
    assert_as_near_as_caffe_to_itself(run(solvers, number, ITERATIONS))


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 7])
def test_a_thousand_iterations_stay_as_close_to_real_caffe_as_caffe_to_itself(
    number: int, solvers: Path, caffe_python: str
) -> None:
    assert_as_near_as_caffe_to_itself(run(solvers, number, MANY_ITERATIONS))


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 8))
def test_a_trained_stage_resumes_as_close_to_real_caffe_as_caffe_to_itself(
    number: int, caffe_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its own learning rate; and at small steps within 1e-3 of the loss and 1 % of the way.

    On drawn images, which a stage with dropout and random crops learns in minutes.
    """
    monkeypatch.setenv("GLOG_minloglevel", "2")
    write_images(tmp_path, real=False)
    solver = write_solver(number, tmp_path, plain=False, base_lr=0.01, batch=BATCH)
    start = learned_snapshot(solver)
    # from the weights alone: the velocity of large steps would carry small ones far away
    weights = start.with_suffix(".caffemodel")
    small = parity.ParityRequest(solver, ITERATIONS // 2, weights, overrides={"base_lr": "1e-4"})
    found = parity.run(small, silent)
    assert found.torch.same_start and found.torch.inputs_differ_from is None
    assert found.torch.agrees, (found.torch.largest, found.torch.worst)
    assert statistics.fmean(found.reference.losses) < 0.85 * math.log(CLASSES)
    # large steps on few images: one run may lose what it learned, and another not
    large = parity.run(parity.ParityRequest(solver, ITERATIONS // 2, start, nudge=1e-6), silent)
    assert large.torch.same_start and large.torch.inputs_differ_from is None
    assert_parts_no_sooner(large)
