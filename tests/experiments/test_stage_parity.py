"""The stages as generated, on real pictures, for as long as rounding lets two engines agree."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from tinynet.data.convert import convert
from tinynet.experiments import parity
from tinynet.prototxt import dataset, generate
from tinynet.prototxt.solvers import Overrides
from tinynet.stages import stage

ITERATIONS = 100
MANY_ITERATIONS = 1000
BATCH = 16
# how much farther than real Caffe from its nudged self: both grow from a rounding error, which
# doubles every iteration or two, and one of them may begin a few iterations before the other
AS_NEAR = 10


def silent(label: str, done: int) -> None:
    pass


@pytest.fixture(scope="module")
def solvers(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the stages as generated for 20 classes of real pictures, in small batches."""
    folder = tmp_path_factory.mktemp("stages")
    convert(pictures / "tiny-imagenet-20.zip", folder / "lmdb")
    data = dataset.describe(folder / "lmdb")
    stages = [stage(number) for number in range(1, 8)]
    overrides = Overrides(batch_size=BATCH)
    generate.write(generate.generate(folder / "prototxt", data, stages, overrides))
    return folder / "prototxt"


def assert_as_near_as_caffe_to_itself(report: parity.Report) -> None:
    """Weights and inputs to the bit; losses and displacements within limits or the yardstick."""
    found, yardstick = report.torch, report.yardstick
    assert yardstick is not None
    assert found.same_start and found.inputs_part is None
    assert found.largest <= max(parity.LOSS_LIMIT, AS_NEAR * yardstick.largest)
    assert found.farthest.apart <= max(
        parity.DISPLACEMENT_LIMIT, AS_NEAR * yardstick.farthest.apart
    )
    losses = report.reference.losses
    # what has parted still learns alike: the second half's mean loss
    half = len(losses) // 2
    means = [statistics.fmean(run.losses[half:]) for run in (report.reference, found.run)]
    assert abs(means[1] / means[0] - 1) < 0.05


def run(solvers: Path, number: int, iterations: int, **more: Any) -> parity.Report:
    solver = solvers / stage(number).name / "solver.prototxt"
    return parity.run(parity.Request(solver, iterations=iterations, nudge=1e-6, **more), silent)


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 8))
def test_a_stage_from_its_start_stays_as_near_as_real_caffe_to_itself(
    number: int, solvers: Path, caffe_python: str
) -> None:
    assert_as_near_as_caffe_to_itself(run(solvers, number, ITERATIONS))


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 7])
def test_a_thousand_iterations_stay_as_near_as_real_caffe_to_itself(
    number: int, solvers: Path, caffe_python: str
) -> None:
    assert_as_near_as_caffe_to_itself(run(solvers, number, MANY_ITERATIONS))
