"""Caffe's two kinds of database, LMDB and LevelDB; a new one is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tinynet.caffeformat import leveldb, lmdb
from tinynet.errors import TinynetError, UsageError

BACKENDS = ("lmdb", "leveldb")


class Writer(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'; the backends are {', '.join(BACKENDS)}")


def open_database(path: Path, backend: str) -> lmdb.Store | leveldb.LevelStore:
    """Open the database at ``path`` for reading.

    Raises UsageError for an unknown backend, TinynetError if ``path`` is not such a database.
    """
    _check_backend(backend)
    return lmdb.open_store(path) if backend == "lmdb" else leveldb.LevelStore(path)


@contextlib.contextmanager
def new_database(path: Path, backend: str) -> Iterator[Writer]:
    """Make a database to put records into; it appears at ``path`` once the block has succeeded.

    Raises UsageError for an unknown backend, and, as Caffe does, TinynetError if ``path`` exists.
    """
    _check_backend(backend)
    if os.path.lexists(path):
        raise TinynetError(f"{path}: already exists; name a new folder, or remove it")
    # in the same folder, so that the last step is a rename
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        made = unfinished / "database"
        with lmdb.Writer(made) if backend == "lmdb" else leveldb.Writer(made) as writer:
            yield writer
        made.rename(path)
    finally:
        shutil.rmtree(unfinished)
