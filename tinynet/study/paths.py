"""The folders of a study of many trainings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExperimentPaths:
    """What every experiment of many trainings has under its folder; each adds its own."""

    root: Path

    @property
    def prototxt(self) -> Path:
        return self.root / "prototxt"

    @property
    def runs(self) -> Path:
        return self.root / "runs"
