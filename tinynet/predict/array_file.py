"""A dataclass of arrays as one ``.npz`` file without pickle: written whole, refused in one line."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from tinynet import files
from tinynet.errors import TinynetError

MAX_BYTES = 1 << 31  # of all arrays together: 5 times 100,000 images of 1,000 classes


def arrays_of(value: Any) -> dict[str, np.ndarray]:
    """The fields of a dataclass as arrays, by their names."""
    return {field.name: np.asarray(getattr(value, field.name)) for field in fields(value)}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file, which is never there half-written.  Raises OSError."""
    # to an open file: to a name numpy would add .npz
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, kind: type[Any]) -> dict[str, Any]:
    """The fields of a dataclass, each of the type that it states: arrays, numbers, text, tuples.

    One that has a default may be missing.  A file from elsewhere is read as data from a stranger:
    nothing is executed, and every size is checked before memory is taken for it.  Raises OSError
    where it cannot be opened, and any Exception where it is no such file: see ``refusing``.
    """
    with zipfile.ZipFile(path) as archive:
        held = {member.filename: member.file_size for member in archive.infolist()}
        sizes = {}
        for field in fields(kind):
            if f"{field.name}.npy" in held:
                sizes[field.name] = held[f"{field.name}.npy"]
            elif field.default is MISSING:
                raise ValueError(f"it has no array '{field.name}'")
        total = sum(sizes.values())
        if total > MAX_BYTES:
            raise ValueError(f"its arrays would take {total:,} bytes, more than {MAX_BYTES:,}")
        for key, size in sizes.items():
            _require_size(archive, key, size)
    types = get_type_hints(kind)
    with np.errstate(all="ignore"), np.load(path, allow_pickle=False) as stored:
        return {key: _value(key, types[key], stored[key]) for key in sizes}


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


def _value(key: str, kind: Any, array: np.ndarray) -> Any:
    if kind is np.ndarray:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if kind not in (str, int, float):
        return tuple(array.tolist())
    value = array.item() if array.shape == () else None
    if type(value) is not kind:
        raise ValueError(f"array '{key}' holds {array.dtype} {array.shape}, not a single value")
    return value


@contextlib.contextmanager
def refusing(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Turn whatever reading the file raises into a TinynetError: PATH: no usable WHAT; REMEDY.

    But for the OSError of a file that cannot be opened: a damaged archive's has no name.
    """
    try:
        yield
    # zipfile, zlib and numpy raise a dozen kinds on a stranger's bytes
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TinynetError(f"{path}: no usable {what} ({reason}); {remedy}") from error
