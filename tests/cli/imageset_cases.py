"""Drawn images and lists of them for Caffe's tools, and the uses of the tools to compare."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

from tinynet.caffeformat import database, png

GOLDEN = Path(__file__).parent / "golden" / "imageset.json"
TOOLS_VARIABLE = "TINYNET_CAFFE_TOOLS"

# name of a use: the flags of convert_imageset
CONVERSIONS: dict[str, list[str]] = {
    "plain": [],
    "gray": ["-gray"],
    "resized": ["-resize_height=9", "--resize_width", "14"],
    "one size alone": ["-resize_height=9"],
    "half": ["-resize_height=10", "-resize_width=12"],
    "files": ["-encoded"],
    "files of gray": ["-gray", "-encoded=true"],
    "png": ["-encode_type", "png", "-resize_height=40", "-resize_width=36"],
    "small png": ["-encoded", "-encode_type=png", "-resize_height=5", "-resize_width=6"],
    "gray png": ["-gray", "-encode_type=png", "-resize_height=30", "-resize_width=31"],
    "leveldb": ["-backend=leveldb", "-resize_height=9", "-resize_width=9"],
}
OF_MEAN = ("resized", "gray png", "leveldb")


def draw(folder: Path) -> None:
    """Draw images and list.txt: colour, gray, names with blanks, labels, and unreadable files."""
    draws = np.random.default_rng(17)
    images = folder / "images"
    (images / "sub").mkdir(parents=True)
    names = ["a.png", "with blanks.png", "sub/c.PNG", "gray.png", "b.png"]
    for name in names:
        shape = (1 if name == "gray.png" else 3, 20, 24)
        smooth = np.add.outer(np.arange(20), np.arange(24)) * draws.integers(1, 5)
        pixels = (smooth + draws.integers(0, 60, shape)).astype(np.uint8)
        (images / name).write_bytes(png.encode(pixels))
    (images / "bad.png").write_bytes(b"no image")
    lines = [f"{name} {label}" for label, name in enumerate(names)]
    lines[1:1] = ["missing.png 7", "bad.png 2"]
    lines += ["a.png -3", "b.png 70000"]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")


def tool(name: str) -> str | None:
    """Real Caffe's program of this name, from the folder TINYNET_CAFFE_TOOLS or from PATH."""
    folder = os.environ.get(TOOLS_VARIABLE)
    return str(Path(folder) / name) if folder else shutil.which(name)


def run_tool(name: str, *arguments: str, cwd: Path) -> None:
    program = tool(name)
    assert program is not None
    subprocess.run([program, *arguments], cwd=cwd, check=True, capture_output=True)


def records(path: Path, backend: str = "lmdb") -> list[list[str]]:
    """Key and SHA-256 of the value of every record."""
    found = []
    store = database.open_database(path, backend)
    for key, value in store.records():
        found.append([os.fsdecode(key), hashlib.sha256(value).hexdigest()])
    store.close()
    return found


def backend_of(flags: list[str]) -> str:
    return "leveldb" if "-backend=leveldb" in flags else "lmdb"


def golden() -> dict[str, dict[str, object]]:
    """Results of Debian 11's tools for every use: ``records`` and ``mean`` (a SHA-256)."""
    return dict(json.loads(GOLDEN.read_text()))
