"""The files of a run directory, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinynet.dataset.paths import SPLITS
from tinynet.experiment.paths import WARM_UP

RUNS_ROOT = Path("runs")


@dataclass(frozen=True)
class RunPaths:
    """A run directory: the prototxt as run, the log, what is derived from it, the snapshots."""

    root: Path

    @classmethod
    def of(cls, runs: Path, stage: str, name: str) -> RunPaths:
        """``RUNS/STAGE/NAME``; for a bare solver file STAGE is the name of its folder."""
        return cls(Path(runs) / stage / name)

    @property
    def train_val(self) -> Path:
        return Path(self.root) / "train_val.prototxt"

    @property
    def deploy(self) -> Path:
        return Path(self.root) / "deploy.prototxt"

    @property
    def solver(self) -> Path:
        return Path(self.root) / "solver.prototxt"

    @property
    def warm_up(self) -> Path:
        """The solver of a warm-up, where the run has one: up to its max_iter it is what runs."""
        return Path(self.root) / WARM_UP

    @property
    def run_json(self) -> Path:
        return Path(self.root) / "run.json"

    @property
    def log(self) -> Path:
        return Path(self.root) / "train.log"

    def rank_log(self, rank: int) -> Path:
        """What another rank than 0 has said, where several solvers train together."""
        return Path(self.root) / f"rank{rank}.log"

    @property
    def history(self) -> Path:
        return Path(self.root) / "history.jsonl"

    @property
    def snapshots(self) -> Path:
        return Path(self.root) / "snapshots"

    @property
    def snapshot_prefix(self) -> Path:
        return self.snapshots / "snapshot"

    @property
    def lock(self) -> Path:
        return Path(self.root) / "run.lock"

    def probabilities(self, split: str, oversample: bool = False, sample: int = 0) -> Path:
        """Probabilities of a split from the centre crop, or averaged over Caffe's ten crops.

        ``sample``: of so many of its images (``predict.sample``); 0: of all.
        """
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        part = f"_sample{sample}" if sample else ""
        return Path(self.root) / f"{split}{part}{'_10crop' if oversample else ''}.npz"

    def guesses(self, split: str, oversample: bool = False) -> Path:
        """The best guesses alone, which a results folder keeps of a run that enters no average."""
        whole = self.probabilities(split, oversample)
        return whole.with_name(f"{whole.stem}_guesses.npz")

    @property
    def first_layer(self) -> Path:
        """The first layer's filters, which a results folder keeps of every run."""
        return Path(self.root) / "first_layer.npz"
