"""The prototxt of a stage as a bench trains it: what is timed, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinynet.caffeformat import schema, text
from tinynet.dataset.paths import DataPaths
from tinynet.experiment import generate
from tinynet.experiment.data_description import describe
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import stage

UNTIMED = ("test_iter", "test_interval", "snapshot", "display")
"""Fields of a solver that make it do something besides training."""


def stage_files(
    root: Path,
    data: DataPaths,
    number: int,
    overrides: Overrides,
    without: Sequence[str] = UNTIMED,
) -> StagePaths:
    """Generate stage ``number`` under ``root``, its solver ``without`` these fields."""
    found = stage(number)
    generate.write(generate.generate(root, describe(data.root), [found], overrides))
    paths = StagePaths(root, found.name)
    solver = text.read(paths.solver, schema.SolverParameter)
    schema.clear(solver, without)
    text.write(paths.solver, solver)
    return paths
