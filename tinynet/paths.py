"""Every file name that a stage, a data set or a run owns: the layout on disk, stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROTOTXT_ROOT = Path("prototxt")
DATA_ROOT = Path("data/lmdb")
RUNS_ROOT = Path("runs")

WARM_UP = "warm_up_solver.prototxt"  # beside the solver.prototxt that goes on from it

SPLITS = ("train", "val", "test")

_LONGEST_COMPONENT = 120  # bytes; a file system takes 255, and suffixes are added


def component_fault(name: str) -> str | None:
    """Why ``name`` may not name one file or folder, as "has a '/' …"; None where it may."""
    if not name or name[0] in ".-":
        return "is empty or starts with '.' or '-'"
    if "/" in name or not name.isprintable():
        return "has a '/' or a character that cannot be printed"
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not proper Unicode"
    if length > _LONGEST_COMPONENT:
        return f"has {length} bytes, more than {_LONGEST_COMPONENT}"
    return None


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
        stage = Path(self.root) / self.stage_name
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
        """The solver of the first iterations, where a stage has one of their own."""
        return self.folder / WARM_UP

    @property
    def snapshot_prefix(self) -> Path:
        """Where ``caffe train`` puts snapshots: beside the solver, a folder that always exists."""
        return self.folder / "snapshot"


@dataclass(frozen=True)
class ExperimentPaths:
    """What every experiment of many trainings has under its folder; each adds its own."""

    root: Path

    @property
    def prototxt(self) -> Path:
        return Path(self.root) / "prototxt"

    @property
    def runs(self) -> Path:
        return Path(self.root) / "runs"


@dataclass(frozen=True)
class DataPaths:
    """A converted data set: three LMDBs, the mean, and the manifest, which is written last."""

    root: Path = DATA_ROOT

    def lmdb(self, split: str) -> Path:
        """The LMDB folder of a split: "train", "val" or "test"."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        return Path(self.root) / f"{split}_lmdb"

    @property
    def train_lmdb(self) -> Path:
        return self.lmdb("train")

    @property
    def val_lmdb(self) -> Path:
        return self.lmdb("val")

    @property
    def test_lmdb(self) -> Path:
        return self.lmdb("test")

    @property
    def mean_binaryproto(self) -> Path:
        return Path(self.root) / "mean.binaryproto"

    @property
    def manifest(self) -> Path:
        return Path(self.root) / "manifest.json"


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

    def probabilities(self, split: str, oversample: bool = False) -> Path:
        """Probabilities of a split from the centre crop, or averaged over Caffe's ten crops."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        return Path(self.root) / (f"{split}_10crop.npz" if oversample else f"{split}.npz")
