"""The paths of the files in a run directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tinynet.dataset.paths import SPLITS
from tinynet.experiment.paths import WARM_UP

RUNS_ROOT = Path("runs")


def stage_of(solver: Path) -> str:
    """The name under which the runs of a bare solver file lie: that of its folder."""
    return Path(os.path.abspath(solver)).parent.name


@dataclass(frozen=True)
class RunPaths:
    """A run directory: the prototxt as run, the log and its history, the snapshots, the results."""

    root: Path

    @classmethod
    def of(cls, runs: Path, stage: str, name: str) -> RunPaths:
        """``RUNS/STAGE/NAME``; for a bare solver file STAGE is ``stage_of`` it."""
        return cls(runs / stage / name)

    @property
    def stage_name(self) -> str:
        """STAGE of the run's STAGE/NAME, the names of its last two folders."""
        return Path(os.path.realpath(self.root)).parent.name

    @property
    def name(self) -> str:
        """STAGE/NAME."""
        return f"{self.stage_name}/{Path(os.path.realpath(self.root)).name}"

    @property
    def train_val(self) -> Path:
        return self.root / "train_val.prototxt"

    @property
    def deploy(self) -> Path:
        return self.root / "deploy.prototxt"

    @property
    def solver(self) -> Path:
        return self.root / "solver.prototxt"

    @property
    def warm_up(self) -> Path:
        """The warm-up's solver, if the run has one; it runs first, up to its own max_iter."""
        return self.root / WARM_UP

    @property
    def run_json(self) -> Path:
        return self.root / "run.json"

    @property
    def log(self) -> Path:
        return self.root / "train.log"

    def rank_log(self, rank: int) -> Path:
        """The log of a rank other than 0, if several solvers train together."""
        return self.root / f"rank{rank}.log"

    @property
    def history(self) -> Path:
        return self.root / "history.jsonl"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def snapshot_prefix(self) -> Path:
        return self.snapshots / "snapshot"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    def probabilities(self, split: str, oversample: bool = False, sample: int = 0) -> Path:
        """Probabilities of a split from the centre crop, or averaged over Caffe's ten crops.

        ``sample``: how many of its images were sampled (``predict.sample``); 0: all of them.
        """
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        part = f"_sample{sample}" if sample else ""
        return self.root / f"{split}{part}{'_10crop' if oversample else ''}.npz"

    def guesses(self, split: str, oversample: bool = False) -> Path:
        """Only the best guesses; a results folder keeps these for a run that enters no average."""
        whole = self.probabilities(split, oversample)
        return whole.with_name(f"{whole.stem}_guesses.npz")

    @property
    def first_layer(self) -> Path:
        """The first layer's filters; a results folder keeps them for every run."""
        return self.root / "first_layer.npz"
