"""The paths of the files of a converted data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATA_ROOT = Path("data/lmdb")

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DataPaths:
    """A converted data set: three LMDBs, the mean, and the manifest, which is written last."""

    root: Path = DATA_ROOT

    def lmdb(self, split: str) -> Path:
        """The LMDB folder of a split: "train", "val" or "test"."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
        return self.root / f"{split}_lmdb"

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
        return self.root / "mean.binaryproto"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"
