"""The paths of the generated files of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROTOTXT_ROOT = Path("prototxt")

WARM_UP = "warm_up_solver.prototxt"  # beside the solver.prototxt that continues from it


def member_name(member: int) -> str:
    """The folder and run name of an ensemble member, counted from 1: ``member03``."""
    return f"member{member:02d}"


@dataclass(frozen=True)
class StagePaths:
    """The generated files of one stage, or of one member of the ensemble stage."""

    root: Path
    stage_name: str
    member: int | None = None

    @property
    def folder(self) -> Path:
        stage = self.root / self.stage_name
        return stage if self.member is None else stage / member_name(self.member)

    @property
    def train_val(self) -> Path:
        return self.folder / "train_val.prototxt"

    @property
    def deploy(self) -> Path:
        return self.folder / "deploy.prototxt"

    @property
    def solver(self) -> Path:
        return self.folder / "solver.prototxt"

    @property
    def warm_up(self) -> Path:
        """The solver of the first iterations, if the stage has a warm-up."""
        return self.folder / WARM_UP

    @property
    def snapshot_prefix(self) -> Path:
        """Where ``caffe train`` writes snapshots: beside the solver, since that folder exists."""
        return self.folder / "snapshot"
