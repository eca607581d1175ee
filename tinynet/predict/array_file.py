"""Writes a dataclass of arrays as an ``.npz`` without pickle, and reads it as untrusted data."""

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

MAX_BYTES = 1 << 31  # of all arrays together: five times 100,000 images of 1,000 classes


def arrays_of(value: Any) -> dict[str, np.ndarray]:
    """The fields of a dataclass as arrays, by name."""
    return {field.name: np.asarray(getattr(value, field.name)) for field in fields(value)}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file atomically.  Raises OSError."""
    # an open file, since numpy would append .npz to a name
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, kind: type[Any]) -> dict[str, Any]:
    """Read the fields of the dataclass ``kind``: arrays, numbers, texts and tuples, as annotated.

    A field with a default may be missing.  The file is treated as untrusted: nothing is executed,
    and every size is checked before memory is allocated for it.  Raises OSError if the file cannot
    be opened, and any other exception if it is not such a file: use it within ``refusing``.
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
    """Raise ValueError if an array's header claims another size than its zip member has.

    numpy allocates memory by the header.  A member never yields more than the zip's directory says.
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
    """Turn any exception raised while reading the file into a TinynetError.

    Its message is "PATH: no usable WHAT (REASON); REMEDY".  An OSError of a file that cannot be
    opened is raised as it is.
    """
    try:
        yield
    # zipfile, zlib and numpy raise a dozen kinds of exceptions on arbitrary bytes
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:  # a damaged zip's has no name
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TinynetError(f"{path}: no usable {what} ({reason}); {remedy}") from error
