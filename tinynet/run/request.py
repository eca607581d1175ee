"""The options of ``tinynet train``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinynet.run.log import Record
from tinynet.run.paths import RunPaths


@dataclass(frozen=True)
class TrainingRequest:
    """The options as given; defaults for the others come from the run, the solver, the machine."""

    solver: Path
    paths: RunPaths
    engine: str = "auto"
    caffe_python: str | None = None
    gpu: int | None = None
    gpus: str | None = None  # how many, their numbers with commas between, or "all"
    solvers: int | None = None  # how many train together; None: one per GPU, or as before, or 1
    cpu: bool = False
    precision: str | None = None  # float32, tf32, bf16; None: as before, or float32
    max_norm: float | None = None  # of each unit's incoming weights; None: as before, or no limit
    overrides: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False
    weights: Sequence[str] = ()
    keep: int | None = None  # snapshots; None: as before, or 3
    quiet: bool = False
    command: Sequence[str] = ()
    on_record: Callable[[Record], None] | None = None  # gets each record of the history
