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


@dataclass(frozen=True)
class SearchPaths(ExperimentPaths):
    """The files of a hyperparameter search (``study.search``)."""

    @property
    def study(self) -> Path:
        """The journal of its trials."""
        return self.root / "study.journal"

    @property
    def trials(self) -> Path:
        return self.root / "trials.csv"

    @property
    def overrides(self) -> Path:
        """The winner, for ``tinynet generate --overrides``."""
        return self.root / "overrides.json"

    @property
    def plane(self) -> Path:
        """The figure of the trials in the plane of the two values."""
        return self.root / "plane.png"

    @property
    def next_lock(self) -> Path:
        """Held while a trial is taken."""
        return self.root / "locks" / "next.lock"

    def of_trial(self, number: int) -> TrialPaths:
        return TrialPaths(self, f"trial{number:04d}")


@dataclass(frozen=True)
class TrialPaths:
    """The files of one trial; its run is ``SearchPaths.runs``/STAGE/``name``."""

    of: SearchPaths
    name: str

    @property
    def prototxt(self) -> Path:
        return self.of.prototxt / self.name

    @property
    def log(self) -> Path:
        return self.of.runs / f"{self.name}.txt"

    @property
    def lock(self) -> Path:
        """Held by its worker and its training."""
        return self.of.root / "locks" / f"{self.name}.lock"
