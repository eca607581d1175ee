"""LevelDBs of Caffe Datums, which a Data layer reads with ``backend: LEVELDB``; needs plyvel.

The records are the same as in an LMDB, in the order of their keys (src/caffe/util/db_leveldb.cpp).
LevelDB has no read-only mode: opening one locks the folder against every other process, and may
write to it, as in real Caffe.
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
        # LevelDB would create a new, empty database in a folder of something else
        if not (path / "CURRENT").is_file():
            raise TinynetError(f"{path}: is not a LevelDB folder (no CURRENT)")
        try:
            self.database = plyvel.DB(os.fspath(path), create_if_missing=False)
            with self.database.iterator(include_value=False) as keys:
                self.records = sum(1 for _ in keys)
        except (plyvel.Error, OSError) as error:
            raise TinynetError(f"{path}: cannot be read as a LevelDB: {_one_line(error)}") from None
        self.users = 0


# a process can open a LevelDB only once, so its nets share the open databases
_open: dict[str, _Shared] = {}
_open_lock = threading.Lock()
# a forked child must not find it held by a thread that it does not have
os.register_at_fork(
    before=_open_lock.acquire,
    after_in_parent=_open_lock.release,
    after_in_child=_open_lock.release,
)


class LevelStore:
    """A LevelDB of records, for any number of iterators in any thread."""

    def __init__(self, path: str | Path) -> None:
        """Open ``path``.  Raises TinynetError if plyvel is missing, or ``path`` is no LevelDB."""
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
        """Return the first record.  Raises TinynetError if there is none."""
        with self._shared.database.iterator() as records:
            for key, value in records:
                return key, value
        raise TinynetError(f"{self.path}: has no records")

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
        """Do nothing: the values are copies, not mapped pages."""

    def close(self) -> None:
        """Release the database; the last store of this process closes it."""
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
        """Create ``path``.  Raises TinynetError if plyvel is missing or that fails."""
        plyvel = _plyvel()
        try:
            self._database = plyvel.DB(
                os.fspath(path), create_if_missing=True, error_if_exists=True
            )
        except (plyvel.Error, OSError) as error:
            raise TinynetError(f"{path}: cannot be created: {_one_line(error)}") from None

    def put(self, key: bytes, value: bytes) -> None:
        self._database.put(key, value)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()


def _one_line(error: Exception) -> str:
    return " ".join(part.decode() if isinstance(part, bytes) else str(part) for part in error.args)
