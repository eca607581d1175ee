"""A model's best guesses for every image of a split, without the probabilities of other classes.

A run whose probabilities enter no average is stored in this form: every statistic of a single run
(accuracies, loss, intervals, confusions) follows from it, at a twentieth of the size on 200
classes.

Arrays of the file (``.npz`` without pickle): ``answers`` uint16 N×K, the K most likely classes,
best first; ``shares`` float16 N×K, their probabilities; ``own`` float32 N, the probability of the
label; ``rank`` uint8 N, how many other classes score at least as much (255: that many or more);
and, as in ``probabilities``, ``labels``, ``names``, ``wnids``, ``crop``, ``views``, ``split``,
``iteration``, ``model_sha256`` and ``engine``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Union

import numpy as np

from tinynet.predict.array_file import arrays_of, read_arrays, refusing, write_arrays
from tinynet.predict.metrics import TOP_K, Metrics, metrics_of, rank_of_label
from tinynet.predict.probabilities import CROPS, Probabilities, read_probabilities
from tinynet.run.paths import RunPaths

_LAST_RANK = 255


@dataclass(frozen=True, eq=False)
class Guesses:
    """The best guesses of a model for the labelled images of a split."""

    answers: np.ndarray  # uint16 N×K, best first; of equal ones the last class, as Caffe's ArgMax
    shares: np.ndarray  # float16 N×K
    own: np.ndarray  # float32 N, 0 to 1
    rank: np.ndarray  # uint8 N
    labels: np.ndarray  # int64 N
    names: np.ndarray
    wnids: np.ndarray
    crop: str
    views: int = 1
    split: str = ""
    iteration: int = -1
    model_sha256: str = ""
    engine: str = ""

    @property
    def labelled(self) -> bool:
        return bool((self.labels >= 0).all())

    @property
    def best(self) -> np.ndarray:
        """The most likely class of each image."""
        return self.answers[:, 0].astype(np.int64)

    @property
    def right(self) -> np.ndarray:
        """For each image (float64) 1 if the label's class alone scores highest, else 0."""
        return (self.rank < 1).astype(np.float64)

    @cached_property
    def metrics(self) -> Metrics:
        return metrics_of(self.own, self.rank)

    def check(self) -> None:
        """Raise ValueError, saying what is wrong, unless the arrays agree."""
        count, classes = len(self.labels), len(self.wnids)
        wanted = {
            "answers": (np.uint16, self.answers.shape),
            "shares": (np.float16, self.answers.shape),
            "own": (np.float32, (count,)),
            "rank": (np.uint8, (count,)),
            "labels": (np.int64, (count,)),
        }
        for name, (kind, shape) in wanted.items():
            array = getattr(self, name)
            if array.dtype != kind or array.shape != shape:
                raise ValueError(f"{name} are {array.dtype} {array.shape}")
        if self.answers.ndim != 2 or len(self.answers) != count or not self.answers.size:
            raise ValueError(f"answers are {self.answers.shape}, not of {count} images")
        if self.names.shape != (count,) or self.names.dtype.kind != "U":
            raise ValueError(f"names are {self.names.dtype} {self.names.shape}")
        if self.wnids.ndim != 1 or self.wnids.dtype.kind != "U":
            raise ValueError(f"wnids are {self.wnids.dtype} {self.wnids.shape}")
        if max(self.answers.max(), self.labels.max()) >= classes or self.labels.min() < 0:
            raise ValueError(f"a class lies outside 0 … {classes - 1}")
        if not (self.own.min() >= 0 and self.own.max() <= 1 and self.shares.min() >= 0):
            raise ValueError("a probability lies outside 0 … 1")
        if self.crop not in CROPS:
            raise ValueError(f"crop is '{self.crop}', not one of {', '.join(CROPS)}")


# either form of a run's predictions: both have labels, names, wnids, crop, best, right, metrics
Predictions = Union[Guesses, Probabilities]
_COPIED = ("labels", "names", "wnids", "crop", "views", "split", "iteration", "model_sha256")


def guesses(found: Probabilities, count: int = TOP_K) -> Guesses:
    """The ``count`` best guesses of probabilities whose images all have labels."""
    p = found.probabilities
    # a stable sort of the classes in reverse order puts the last of equal classes first
    order = np.argsort(-p[:, ::-1], axis=1, kind="stable")[:, :count]
    answers = p.shape[1] - 1 - order
    return Guesses(
        answers=answers.astype(np.uint16),
        shares=np.take_along_axis(p, answers, axis=1).astype(np.float16),
        own=np.take_along_axis(p, found.labels[:, None], axis=1)[:, 0].clip(0, 1),
        rank=np.minimum(rank_of_label(p, found.labels), _LAST_RANK).astype(np.uint8),
        engine=found.engine,
        **{name: getattr(found, name) for name in _COPIED},
    )


def write_guesses(path: Path, found: Guesses) -> None:
    """Write the file atomically.  Raises OSError."""
    found.check()
    write_arrays(path, arrays_of(found))


def read_guesses(path: Path, remedy: str) -> Guesses:
    """Read and validate a file.

    Raises OSError if it cannot be opened, TinynetError with the reason and ``remedy`` if it is not
    valid.
    """
    with refusing(path, "file of guesses", remedy):
        result = Guesses(**read_arrays(path, Guesses))
        result.check()
    return result


def read_predictions(run: RunPaths, split: str, oversample: bool, remedy: str) -> Predictions:
    """Read a run's predictions on a split: its guesses if they are stored, else its probabilities.

    Raises OSError if there are neither, TinynetError as ``read_guesses`` does.
    """
    path = run.guesses(split, oversample)
    if path.exists():
        return read_guesses(path, remedy)
    return read_probabilities(run.probabilities(split, oversample), remedy)
