"""The probabilities of one model (or an ensemble) on one split, in an ``.npz`` without pickle.

Arrays of the file: ``probabilities`` float32 N×C, ``labels`` int64 N (-1 unknown), ``names`` and
``wnids`` text, ``crop`` (``center`` or ``oversample``); and for the record ``views`` (inputs
averaged per image), ``split``, ``iteration``, ``model_sha256`` and ``engine``.  Files from
elsewhere are read as data from a stranger: nothing is executed, and every size is checked before
memory is taken for it.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.predict.metrics import Metrics, is_right, predicted_class, score

CROPS = ("center", "oversample")
MAX_BYTES = 1 << 31  # of all arrays together: 5 times 100,000 images of 1,000 classes
MAX_TEXT = 4 * 1024  # bytes of a name: 1,024 characters
MAX_HEADER = 10_000  # numpy's own limit for a header of an untrusted .npy
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
    arrays = {field.name: np.asarray(getattr(probabilities, field.name)) for field in _FIELDS}
    if half:
        arrays["probabilities"] = arrays["probabilities"].astype(np.float16)
    # to an open file: to a name numpy would add .npz
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read_probabilities(path: Path, remedy: str = EVALUATE_AGAIN) -> Probabilities:
    """Read and validate a file; TinynetError names the file, what is wrong with it and ``remedy``.

    The remedy depends on where the file lies, which the caller knows.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_arrays(archive)
        probabilities = Probabilities(**arrays)
        probabilities.check()
    except OSError as error:
        if error.filename is not None:  # of opening the file; a damaged archive has no name
            raise
        raise _damaged(path, error, remedy) from error
    except _DAMAGE as error:
        raise _damaged(path, error, remedy) from error
    return probabilities


_FIELDS = fields(Probabilities)
_REQUIRED = ("probabilities", "labels", "names", "wnids", "crop")
_KINDS = {"probabilities": "f", "labels": "i", "names": "U", "wnids": "U"}
_SCALARS = {"crop": "U", "split": "U", "model_sha256": "U", "engine": "U"}  # the rest are integers
# the header that numpy writes for a C-ordered array of numbers or text
_HEADER = re.compile(
    rb"\{'descr': '(?P<descr>[<>|=]?[fiU][0-9]{1,9})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9, ]*)\), \} *\n"
)
# what zipfile, zlib and numpy raise on bytes that are no such file
_DAMAGE = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)


def _damaged(path: Path, error: BaseException, remedy: str) -> TinynetError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return TinynetError(f"{path}: no usable file of probabilities ({reason}); {remedy}")


def _read_arrays(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the known arrays; headers first, so that all sizes are judged before any is read."""
    present = set(archive.namelist())
    for key in _REQUIRED:
        if f"{key}.npy" not in present:
            raise ValueError(f"it has no array '{key}'")
    keys = [field.name for field in _FIELDS if f"{field.name}.npy" in present]
    headers = {key: _read_header(archive, key) for key in keys}
    size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
    if size > MAX_BYTES:
        raise ValueError(f"its arrays would take {size:,} bytes, more than {MAX_BYTES:,}")
    shape = headers["probabilities"][0]
    for key, axis in (("labels", 0), ("names", 0), ("wnids", 1)):
        if len(shape) != 2 or headers[key][0] != (shape[axis],):
            raise ValueError(f"probabilities {shape} and {key} {headers[key][0]} do not agree")
    return {key: _read_array(archive, key, *headers[key]) for key in keys}


def _read_header(archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(f"{key}.npy") as stream:
        shape, dtype = _parse_header(stream)
        start = stream.tell()
    kind = _KINDS.get(key) or _SCALARS.get(key, "i")
    if dtype.kind != kind or dtype.itemsize > MAX_TEXT:
        raise ValueError(f"array '{key}' holds {dtype}")
    if key not in _KINDS and shape != ():
        raise ValueError(f"array '{key}' has the shape {shape}, not a single value")
    stored = archive.getinfo(f"{key}.npy").file_size - start
    if stored != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"array '{key}' {shape} of {dtype} has {stored} bytes")
    return shape, dtype


def _parse_header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # what numpy writes for arrays like these
        raise ValueError(f"it has an array of .npy version {version}")
    (length,) = struct.unpack("<H", stream.read(2))
    # parsed here, since numpy's own reader raises whatever its tokenizer meets in strange text
    match = _HEADER.fullmatch(stream.read(length) if length <= MAX_HEADER else b"")
    if match is None:
        raise ValueError("it has an array with a strange header")
    shape = tuple(int(extent) for extent in match["shape"].split(b",") if extent.strip())
    return shape, np.dtype(match["descr"].decode("ascii"))


def _read_array(archive: zipfile.ZipFile, key: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    with archive.open(f"{key}.npy") as stream:
        _parse_header(stream)
        data = stream.read()
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    if dtype.kind == "U":
        array = np.array(array.tolist(), dtype=str)  # refuses what is no Unicode
    elif not array.dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    return array if key in _KINDS else array.item()
