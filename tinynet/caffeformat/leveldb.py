"""LevelDBs of Caffe Datums, which a Data layer reads by ``backend: LEVELDB``: needs plyvel.

The records are those of an LMDB, in the order of their keys (src/caffe/util/db_leveldb.cpp).
LevelDB has no mode for reading alone: whoever opens one locks the folder against every other
process, and may write into it, as real Caffe does too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError


def _plyvel() -> Any:
    try:
        import plyvel
    except ImportError:
        raise TinynetError(
            "a LevelDB needs plyvel, which is not installed: pip install 'tinynet[leveldb]'; or "
            "copy the records into an LMDB and write 'backend: LMDB'"
        ) from None
    return plyvel


class _Shared:
    """One open database, the number of its records, and the number of stores that use it."""

    def __init__(self, path: Path) -> None:
        plyvel = _plyvel()
        # what it would make of a folder of something else is a new, empty database
        if not (path / "CURRENT").is_file():
            raise TinynetError(f"{path}: is no LevelDB folder (no CURRENT)")
        try:
            self.database = plyvel.DB(os.fspath(path), create_if_missing=False)
            with self.database.iterator(include_value=False) as keys:
                self.records = sum(1 for _ in keys)
        except (plyvel.Error, OSError) as error:
            raise TinynetError(f"{path}: cannot be read as a LevelDB: {_one_line(error)}") from None
        self.users = 0


# of one database the nets of a process share what is open, since LevelDB opens it but once
_open: dict[str, _Shared] = {}
_open_lock = threading.Lock()


class LevelStore:
    """A LevelDB of records, for any number of iterators in any thread."""

    def __init__(self, path: str | Path) -> None:
        """Raises TinynetError where plyvel is missing, or ``path`` is no LevelDB."""
        self.path = Path(path)
        self._key = os.path.realpath(path)
        with _open_lock:
            if self._key not in _open:
                _open[self._key] = _Shared(self.path)
            self._shared = _open[self._key]
            self._shared.users += 1
        self._closed = False

    def __len__(self) -> int:
        return self._shared.records

    def first(self) -> tuple[bytes, bytes]:
        """The first record; raises TinynetError where there is none."""
        with self._shared.database.iterator() as records:
            for key, value in records:
                return key, value
        raise TinynetError(f"{self.path}: holds no record")

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in key order."""
        with self._shared.database.iterator() as records:
            yield from records

    def mapped_values(self, start: int = 0) -> Iterator[memoryview]:
        """Yield the values in key order, from record number ``start`` on."""
        with self._shared.database.iterator(include_key=False, fill_cache=False) as values:
            try:
                for value in islice(values, start, None):
                    yield memoryview(value)
            except _plyvel().Error as error:
                raise TinynetError(f"{self.path}: is damaged: {_one_line(error)}") from None

    def give_back_pages(self) -> None:
        """Nothing is mapped: the values are copies."""

    def close(self) -> None:
        """Let go of the database; the last store of this process closes it."""
        if self._closed:
            return
        self._closed = True
        with _open_lock:
            self._shared.users -= 1
            if self._shared.users == 0:
                del _open[self._key]
                self._shared.database.close()


class Writer:
    """Puts records into a new LevelDB folder; a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises TinynetError where plyvel is missing or the database cannot be made."""
        plyvel = _plyvel()
        try:
            self._database = plyvel.DB(
                os.fspath(path), create_if_missing=True, error_if_exists=True
            )
        except (plyvel.Error, OSError) as error:
            raise TinynetError(f"{path}: cannot be made: {_one_line(error)}") from None

    def put(self, key: bytes, value: bytes) -> None:
        self._database.put(key, value)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()


def _one_line(error: Exception) -> str:
    return " ".join(part.decode() if isinstance(part, bytes) else str(part) for part in error.args)
