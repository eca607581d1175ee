"""Run directories as training and evaluation leave them, written in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tinynet.predict.probabilities import Probabilities, write_probabilities
from tinynet.run.paths import RunPaths
from tinynet.run.record import FINISHED, Run

HOSTILE = '<script>alert("x")</script> & "quoted", \'too\''


def wnids(classes: int) -> list[str]:
    return [f"n{number:08d}" for number in range(classes)]


def probabilities(
    classes: int, images: int, skill: float, seed: int, crop: str, names: list[str] | None = None
) -> Probabilities:
    """A model that is right about ``skill`` of the time; labels are the same for every seed."""
    labels = np.random.default_rng(classes).integers(0, classes, images)
    generator = np.random.default_rng(seed)
    p = generator.random((images, classes)) + 1e-3
    right = generator.random(images) < skill
    p[np.flatnonzero(right), labels[right]] += 2
    p /= p.sum(axis=1, keepdims=True)
    return Probabilities(
        probabilities=p.astype(np.float32),
        labels=labels.astype(np.int64),
        names=np.array([f"val_{n}.JPEG" for n in range(images)]),
        wnids=np.array(names or wnids(classes)),
        crop=crop,
        views=1 if crop == "center" else 10,
        split="val",
        iteration=100,
        model_sha256="ab" * 32,
        engine="torch 2",
    )


def write_run(
    folder: Path,
    seed: int = 1,
    classes: int = 5,
    skill: float = 0.4,
    state: str = FINISHED,
    message: str = "",
    names: list[str] | None = None,
    evaluated: bool = True,
    engine: str = "torch",
) -> RunPaths:
    paths = RunPaths(folder)
    folder.mkdir(parents=True)
    run = Run(
        state=state,
        message=message,
        iteration=100 if state == FINISHED else 40,
        max_iter=100,
        seed=seed,
        engine={"name": engine, "version": "2.0"},
        versions={"tinynet": "0.1.0"},
        hashes={"solver.prototxt": "cd" * 32},
        command=["tinynet", "train", "--stage", "1", "--seed", str(seed)],
    )
    run.save(paths.run_json)
    records = [
        {"iteration": 0, "train_loss": 1.7, "val_loss": 1.7, "val_accuracy": 0.2},
        {"iteration": 50, "train_loss": 1.2, "val_loss": 1.4, "val_accuracy": skill},
    ]
    paths.history.write_text("".join(json.dumps(record) + "\n" for record in records))
    if evaluated:
        for crop in ("center", "oversample"):
            found = probabilities(classes, 60, skill, seed, crop, names)
            write_probabilities(paths.probabilities("val", crop == "oversample"), found)
    return paths


def write_search(folder: Path) -> None:
    """Write a search as ``tinynet search`` leaves it: five trials, one failed, one given up."""
    folder.mkdir(parents=True)
    rows = (
        "trial,state,base_lr,weight_decay,tuning_accuracy\n"
        "0,complete,0.02,2.2e-05,0.30\n1,complete,0.004,6.2e-05,0.25\n2,failed,0.09,0.001,\n"
        "3,pruned,0.0011,0.008,0.12\n4,complete,0.015,0.0001,0.32\n"
    )
    (folder / "trials.csv").write_text(rows)
    chosen = {"images": 1000, "source": HOSTILE, "role": "tuning images"}
    winner = {
        "solver": {"base_lr": 0.015, "weight_decay": 0.0001},
        "stage": "stage1_simple",
        "search": {"command": "tinynet search data/lmdb --stage 1"},
        "selection_set": chosen,
    }
    (folder / "overrides.json").write_text(json.dumps(winner))
    write_run(folder / "runs/stage1_simple/trial0000")


def write_folds(folder: Path) -> None:
    """Write three folds of two stages, one of which is incomplete."""
    whole = {
        "name": "stage1_simple",
        "folds": [0.41, 0.43, 0.40],
        "mean": 0.4133,
        "by_fold": [0.38, 0.45],
        "from_train": {"images": 100, "accuracy": 0.42},
        "from_val": {"images": 10, "accuracy": 0.38},
        "train_less_val": 0.04,
        "train_less_val_interval": [0.01, 0.07],
    }
    keys = ("mean", "by_fold", "from_train", "from_val")
    keys += ("train_less_val", "train_less_val_interval")
    part = {"name": "stage7_dropout2", "folds": [0.45, None, 0.47], **dict.fromkeys(keys)}
    folder.mkdir(parents=True)
    command = "tinynet dissect data/lmdb --folds 3"
    content = {"folds": 3, "stages": [whole, part], "command": command}
    (folder / "folds.json").write_text(json.dumps(content))
    write_run(folder / "fold1/stage1_simple/seed1", classes=4)  # of another split of the data
