"""A solver so small that both engines train it in a second, on an LMDB of 60 drawn images."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.engine import discovery
from tinynet.engine.discovery import Engine
from tinynet.run import plan as plans
from tinynet.run.paths import RunPaths
from tinynet.run.plan import Plan
from tinynet.run.request import TrainingRequest

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { mean_value: 128 scale: 0.01 }
  data_param { source: "data/train_lmdb" batch_size: 10 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { mean_value: 128 scale: 0.01 }
  data_param { source: "data/val_lmdb" batch_size: 10 backend: LMDB } }
layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc1" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc1" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "small/train_val.prototxt"
test_iter: 2
test_interval: 10
base_lr: 0.1
lr_policy: "fixed"
momentum: 0.9
weight_decay: 0.0005
max_iter: 24
display: 4
snapshot: 8
snapshot_prefix: "small/snapshot"
random_seed: 7
"""
RUN = Path("runs/small/seed7")
Trained = Callable[[str, Path], Path]  # the fixture ``trained``


def write_files(folder: Path) -> None:
    """``small/{train_val,solver}.prototxt`` and ``data/{train,val}_lmdb`` in ``folder``."""
    (folder / "small").mkdir()
    (folder / "small/train_val.prototxt").write_text(NET)
    (folder / "small/solver.prototxt").write_text(SOLVER)
    (folder / "data").mkdir()
    numbers = np.random.RandomState(0)
    for split, count in (("train", 60), ("val", 20)):
        pixels = numbers.randint(0, 256, (count, 1, 6, 6)).astype(np.uint8)
        # the class is the brightest quarter: learnable by one layer
        labels = [int(p.reshape(4, 9).sum(1).argmax()) for p in pixels]
        write_store(
            folder / "data" / f"{split}_lmdb",
            (
                (b"%08d" % i, encode_datum(p, label))
                for i, (p, label) in enumerate(zip(pixels, labels))
            ),
        )


def plan(folder: Path, engine: Engine) -> Plan:
    """A quiet run of the small solver in ``folder``, by an engine that is no real one."""
    write_files(folder)
    for name in ("train_val", "solver"):
        path = folder / f"small/{name}.prototxt"
        path.write_text(re.sub('"(small|data)/', rf'"{folder}/\1/', path.read_text()))
    paths = RunPaths(folder / RUN)
    paths.snapshots.mkdir(parents=True)
    solver = folder / "small/solver.prototxt"
    with mock.patch.object(discovery, "find", return_value=engine):
        made = plans.make(TrainingRequest(solver, paths, cpu=True, quiet=True))
    assert made is not None
    return made


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tinynet", "train", *arguments]


def environment(**variables: str) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **variables}


def train(
    folder: Path, *arguments: str, largest_file: int | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``tinynet train`` in ``folder``, on the small solver unless the arguments name one.

    ``largest_file``: a limit on the size of every file that it writes, in blocks of 1024 bytes.
    """
    if not any(argument.startswith("--stage") or "/" in argument for argument in arguments[:1]):
        arguments = ("small/solver.prototxt", *arguments)
    words = command(*arguments)
    if largest_file is not None:
        words = ["bash", "-c", f"ulimit -f {largest_file}; exec {shlex.join(words)}"]
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def last_line(child: subprocess.CompletedProcess[str]) -> str:
    return child.stderr.strip().splitlines()[-1]


def history(folder: Path, run: Path = RUN) -> list[dict[str, Any]]:
    lines = (folder / run / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def record(folder: Path, run: Path = RUN) -> dict[str, Any]:
    return json.loads((folder / run / "run.json").read_text())
