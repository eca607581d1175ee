"""Results folders written by hand: nine images of three classes, with chosen right answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tinynet.predict.probabilities import CENTER, OVERSAMPLE, Probabilities, write_probabilities
from tinynet.run.record import FINISHED as TRAINED
from tinynet.run.record import Run
from tinynet.study.results import FINISHED, ResultsPaths, RunRow, Score
from tinynet.study.settings import Settings, Split, write_settings

LABELS = np.arange(9) % 3


def settings(**changes: object) -> Settings:
    values: dict = {
        "data": {"source": "drawn", "digests": {"train": "a", "val": "b", "test": "c"}},
        "reported": Split("test", "the validation images", 9),
        "tuning": Split("val", "tuning images", 9),
        "seeds": [1, 2],
        "stages": [1, 2],
        "variants": [],
        "members": [],
        "epochs": {"stage1_simple": 8, "stage2_dropout1": 12, "stage7_dropout2": 24},
        "epochs_factor": 0.4,
        "batch_size": 32,
        "recipes": {},
        "command": "tinynet dissect",
    }
    return Settings(**{**values, **changes})


def probabilities(right: Sequence[int], split: str, crop: str, sure: float = 0.8) -> Probabilities:
    """Give ``sure`` to the label's class for images in ``right``, else to the next class."""
    p = np.full((9, 3), (1 - sure) / 2, np.float32)
    for image, label in enumerate(LABELS):
        p[image, label if image in right else (label + 1) % 3] = sure
    return Probabilities(
        probabilities=p,
        labels=LABELS.astype(np.int64),
        names=np.array([f"{split}_{n}" for n in range(9)]),
        wnids=np.array(["n0", "n1", "n2"]),
        crop=crop,
        views=1 if crop == CENTER else 10,
        split=split,
        iteration=40,
    )


def add_run(
    results: ResultsPaths,
    run: str,
    seed: int,
    one_crop: Sequence[int],
    ten_crop: Sequence[int] | None = None,
    tuning: Sequence[int] = (),
    sure: float = 0.8,
) -> None:
    """Write a finished run; the sequences name the images that it gets right."""
    scores = {}
    for split, crop, right in (
        ("train", CENTER, range(9)),
        ("val", CENTER, tuning),
        ("val", OVERSAMPLE, tuning),
        ("test", CENTER, one_crop),
        ("test", OVERSAMPLE, one_crop if ten_crop is None else ten_crop),
    ):
        p = probabilities(right, split, crop, sure)
        scores[f"{split}_{crop}"] = Score.of(p)
        write_probabilities(results.run(run).probabilities(split, crop == OVERSAMPLE), p)
    results.run(run).history.write_text("")
    Run(state=TRAINED, iteration=40).save(results.run(run).run_json)
    row = RunRow(run, seed, FINISHED, 40, scores)
    results.scores(run).write_text(json.dumps(asdict(row)))


def begin(folder: Path, **changes: object) -> ResultsPaths:
    results = ResultsPaths(folder)
    write_settings(settings(**changes), results)
    return results
