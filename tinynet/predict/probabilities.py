"""The probabilities of one model (or an ensemble) on one split, in an ``.npz`` without pickle.

Arrays of the file: ``probabilities`` float32 N×C, ``labels`` int64 N (-1 unknown), ``names`` and
``wnids`` text, ``crop`` (``center`` or ``oversample``); and for the record ``views`` (inputs
averaged per image), ``split``, ``iteration``, ``model_sha256`` and ``engine``.  Files from
elsewhere are read as data from a stranger: nothing is executed, and every size is checked before
memory is taken for it.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.predict.array_file import arrays_of, refusing, write_arrays
from tinynet.predict.metrics import Metrics, is_right, predicted_class, score

CENTER, OVERSAMPLE = CROPS = ("center", "oversample")
MAX_BYTES = 1 << 31  # of all arrays together: 5 times 100,000 images of 1,000 classes
SUM_TOLERANCE = 1e-3
EVALUATE_AGAIN = "delete it and run 'tinynet evaluate' again"


@dataclass(frozen=True, eq=False)
class Probabilities:
    """What a model says of every image of a split; valid by construction of :meth:`check`."""

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
        """The most likely class of each image; of equal ones the last, as Caffe's ArgMax layer."""
        return predicted_class(self.probabilities)

    @property
    def right(self) -> np.ndarray:
        """Of each image (float64) 1 where the label's class wins alone, else 0."""
        return is_right(self.probabilities, self.labels)

    @property
    def metrics(self) -> Metrics:
        """Loss and accuracies; all labels are known."""
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
            # so that a list of them has one line each; refuses lone surrogates too
            if not all(text and text.isprintable() for text in array.tolist()):
                raise ValueError(f"{key} are not all printable text")
        if len(set(self.wnids.tolist())) != classes:
            raise ValueError("a wnid stands twice")
        if labels.min() < -1 or labels.max() >= classes:
            raise ValueError(f"a label lies outside -1 … {classes - 1}")
        if self.crop not in CROPS:
            raise ValueError(f"crop is '{self.crop}', not one of {', '.join(CROPS)}")
        # one comparison refuses NaN and infinities too
        if not (p.min() >= 0 and p.max() <= 1 + SUM_TOLERANCE):
            raise ValueError("a probability lies outside 0 … 1")
        if not np.abs(p.sum(axis=1, dtype=np.float64) - 1).max() <= SUM_TOLERANCE:
            raise ValueError("a row of probabilities does not sum to 1")


def write_probabilities(path: Path, probabilities: Probabilities, half: bool = False) -> None:
    """Write the file, which is never there half-written, and its folder where that is missing.

    ``half``: in float16, at half the size and for averages alone: an error of 1 in 2,000 at most.
    """
    probabilities.check()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = arrays_of(probabilities)
    if half:
        arrays["probabilities"] = arrays["probabilities"].astype(np.float16)
    write_arrays(path, arrays)


def read_probabilities(path: Path, remedy: str = EVALUATE_AGAIN) -> Probabilities:
    """Read and validate a file; TinynetError names the file, what is wrong with it and ``remedy``.

    The remedy depends on where the file lies, which the caller knows.
    """
    path = Path(path)
    with refusing(path, "file of probabilities", remedy):
        probabilities = Probabilities(**_read_arrays(path))
        probabilities.check()
    return probabilities


_FIELDS = fields(Probabilities)
_REQUIRED = ("probabilities", "labels", "names", "wnids", "crop")
_SCALARS = {"crop": str, "split": str, "model_sha256": str, "engine": str, "views": int}
_SCALARS["iteration"] = int


def _read_arrays(path: Path) -> dict[str, Any]:
    """The known arrays.  Raises OSError where the file cannot be opened, else any Exception."""
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        for key in _REQUIRED:
            if f"{key}.npy" not in sizes:
                raise ValueError(f"it has no array '{key}'")
        keys = [field.name for field in _FIELDS if f"{field.name}.npy" in sizes]
        size = sum(sizes[f"{key}.npy"] for key in keys)
        if size > MAX_BYTES:
            raise ValueError(f"its arrays would take {size:,} bytes, more than {MAX_BYTES:,}")
        for key in keys:
            _require_size(archive, key, sizes[f"{key}.npy"])
    with np.errstate(all="ignore"), np.load(path, allow_pickle=False) as stored:
        return {key: _value(key, stored[key]) for key in keys}


def _require_size(archive: zipfile.ZipFile, key: str, size: int) -> None:
    """Raise ValueError where an array's header claims other than what its member holds.

    numpy takes memory by the header.  A zip's member gives no more than its directory states.
    """
    with archive.open(f"{key}.npy") as stream:
        np.lib.format.read_magic(stream)  # of version 1.0, as numpy writes arrays like these
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        held = size - stream.tell()
    if math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"array '{key}' {shape} of {dtype} has {held} bytes")


def _value(key: str, array: np.ndarray) -> Any:
    if key == "probabilities" and array.dtype == np.float16:
        return array.astype(np.float32)  # of results, which keep them at half the size
    if key not in _SCALARS:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    value = array.item() if array.shape == () else None
    if type(value) is not _SCALARS[key]:
        raise ValueError(f"array '{key}' holds {array.dtype} {array.shape}, not a single value")
    return value
