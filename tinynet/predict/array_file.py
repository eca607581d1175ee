"""A dataclass of arrays as one ``.npz`` file without pickle: written whole, refused in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import files
from tinynet.errors import TinynetError


def arrays_of(value: Any) -> dict[str, np.ndarray]:
    """The fields of a dataclass as arrays, by their names."""
    return {field.name: np.asarray(getattr(value, field.name)) for field in fields(value)}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file, which is never there half-written.  Raises OSError."""
    # to an open file: to a name numpy would add .npz
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, kind: type[Any]) -> dict[str, Any]:
    """The arrays of a dataclass's fields, and numbers and text for those without a dimension.

    Raises OSError where the file cannot be opened, and any Exception where it is no such file: see
    ``refusing``.
    """
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        arrays = {field.name: archive[field.name] for field in fields(kind)}
    return {name: each if each.ndim else each.item() for name, each in arrays.items()}


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
