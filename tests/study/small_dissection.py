"""A request for a small dissection, and what it generates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinynet.caffeformat import schema, text
from tinynet.dataset.split import Tuning
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.study.results import ResultsPaths
from tinynet.study.trainings import DissectionPaths, DissectionRequest


def request(lmdb: Path, folder: Path) -> DissectionRequest:
    return DissectionRequest(
        data=lmdb,
        folders=DissectionPaths(folder / "out", ResultsPaths(folder / "results")),
        stages=[1, 7, 8],
        seeds=[1, 2],
        split=Tuning(0.2, 1),
        epochs_factor=0.1,
        overrides=Overrides(batch_size=8),
        engine=("--cpu",),
        command="tinynet dissect",
    )


def solver_of(asked: DissectionRequest, name: str, member: int | None = None) -> Any:
    return text.read(
        StagePaths(asked.folders.prototxt, name, member).solver, schema.SolverParameter
    )
