"""The probabilities of one model or an ensemble on one split, in an ``.npz`` without pickle.

Arrays of the file: ``probabilities`` float32 N×C, ``labels`` int64 N (-1: unknown), ``names`` and
``wnids`` text, ``crop`` (``center`` or ``oversample``); and, to record their origin, ``views``
(inputs averaged per image), ``split``, ``iteration``, ``model_sha256`` and ``engine``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.predict.array_file import arrays_of, read_arrays, refusing, write_arrays
from tinynet.predict.metrics import Metrics, is_right, predicted_class, score

CENTER, OVERSAMPLE = CROPS = ("center", "oversample")
SUM_TOLERANCE = 1e-3
EVALUATE_AGAIN = "delete it and run 'tinynet evaluate' again"


@dataclass(frozen=True, eq=False)
class Probabilities:
    """A model's probabilities for every image of a split; ``check`` validates them."""

    probabilities: np.ndarray  # float32 N×C, rows sum to 1
    labels: np.ndarray  # int64 N, class index or -1
    names: np.ndarray  # N image names
    wnids: np.ndarray  # C class names, in the order of the class index
    crop: str  # one of CROPS
    views: int = 1
    split: str = ""
    iteration: int = -1  # -1: unknown, or an average of several
    model_sha256: str = ""
    engine: str = ""

    @property
    def labelled(self) -> bool:
        """Whether every image has a known label."""
        return bool((self.labels >= 0).all())

    @property
    def best(self) -> np.ndarray:
        """The most likely class of each image; the last of equals, as in Caffe's ArgMax layer."""
        return predicted_class(self.probabilities)

    @property
    def right(self) -> np.ndarray:
        """For each image (float64) 1 if the label's class alone scores highest, else 0."""
        return is_right(self.probabilities, self.labels)

    @property
    def metrics(self) -> Metrics:
        """Loss and accuracies; all labels must be known."""
        return score(self.probabilities, self.labels)

    def check(self) -> None:
        """Raise ValueError, saying what is wrong, unless the arrays agree and are probabilities."""
        p, labels = self.probabilities, self.labels
        if p.ndim != 2 or p.dtype != np.float32 or 0 in p.shape:
            raise ValueError(f"probabilities are {p.dtype} {p.shape}, not float32 (N, classes)")
        count, classes = p.shape
        if labels.shape != (count,) or labels.dtype != np.int64:
            raise ValueError(f"labels are {labels.dtype} {labels.shape}, not int64 ({count},)")
        for key, length in (("names", count), ("wnids", classes)):
            array = getattr(self, key)
            if array.shape != (length,) or array.dtype.kind != "U":
                raise ValueError(f"{key} are {array.dtype} {array.shape}, not text ({length},)")
            # lists of them have one line each; this refuses lone surrogates too
            if not all(text and text.isprintable() for text in array.tolist()):
                raise ValueError(f"{key} are not all printable text")
        if len(set(self.wnids.tolist())) != classes:
            raise ValueError("a wnid appears twice")
        if labels.min() < -1 or labels.max() >= classes:
            raise ValueError(f"a label lies outside -1 … {classes - 1}")
        if self.crop not in CROPS:
            raise ValueError(f"crop is '{self.crop}', not one of {', '.join(CROPS)}")
        # written so that NaN fails too
        if not (p.min() >= 0 and p.max() <= 1 + SUM_TOLERANCE):
            raise ValueError("a probability lies outside 0 … 1")
        if not np.abs(p.sum(axis=1, dtype=np.float64) - 1).max() <= SUM_TOLERANCE:
            raise ValueError("a row of probabilities does not sum to 1")


def write_probabilities(path: Path, probabilities: Probabilities, half: bool = False) -> None:
    """Write the file atomically; make its folder if it does not exist.

    ``half``: as float16, of half the size, with an error of at most 1 in 2,000: good enough for
    averages only.
    """
    probabilities.check()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = arrays_of(probabilities)
    if half:
        arrays["probabilities"] = arrays["probabilities"].astype(np.float16)
    write_arrays(path, arrays)


def read_probabilities(path: Path, remedy: str = EVALUATE_AGAIN) -> Probabilities:
    """Read and validate a file.

    Raises OSError if it cannot be opened, TinynetError with the reason and ``remedy`` if it is not
    valid.  The remedy depends on what the file belongs to, which the caller knows.
    """
    with refusing(path, "file of probabilities", remedy):
        arrays = read_arrays(path, Probabilities)
        if arrays["probabilities"].dtype == np.float16:  # written with ``half``
            arrays["probabilities"] = arrays["probabilities"].astype(np.float32)
        probabilities = Probabilities(**arrays)
        probabilities.check()
    return probabilities
