"""LMDBs of Caffe Datums: the only module that imports lmdb.

A store is a folder with ``data.mdb``, as Caffe's own tools write it: one unnamed database whose
keys, in byte order, give the order in which Caffe's Data layer walks the records
(``src/caffe/util/db_lmdb.cpp``).
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb

from tinynet.caffeformat import mapped_pages
from tinynet.errors import TinynetError

# Records are written in transactions of about this many bytes: large enough that a commit costs
# little, and small enough that repeating one after the map was full costs little too.
_COMMIT_BYTES = 16 << 20
_FIRST_MAP_BYTES = 64 << 20
_LONGEST_KEY = 511  # LMDB's own limit
_UNWRITTEN_PAGES = 8


@dataclass
class _Shared:
    """One open environment and the number of stores that use it."""

    environment: lmdb.Environment
    users: int = 0


# A process must not open an LMDB twice.  So the nets of one solver, which may read one database in
# several threads, share the environment.  A forked child puts its parent's aside, and cannot open
# the same LMDBs again: to close them could wait for ever for a thread that it does not have.
_open: dict[object, _Shared] = {}
_inherited: list[_Shared] = []
_open_lock = threading.Lock()


def _put_inherited_aside() -> None:
    _inherited.extend(_open.values())
    _open.clear()
    _open_lock.release()


# a child must not find the lock held by a thread that it does not have
os.register_at_fork(
    before=_open_lock.acquire,
    after_in_parent=_open_lock.release,
    after_in_child=_put_inherited_aside,
)


def _identity(path: Path) -> object:
    """The same for all paths of one LMDB, also through links to its file."""
    try:
        found = os.stat(path / "data.mdb")
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


class Store:
    """A read-only LMDB of records, for any number of iterators in any thread; a context manager.

    It is opened without LMDB's lock file, so that it works in read-only folders and on network file
    systems; nobody may write to the folder meanwhile.  ``close`` may be called twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key = _identity(path)
        with _open_lock:
            shared = _open.get(self._key)
            if shared is None:
                shared = _open[self._key] = _Shared(_open_environment(path))
            shared.users += 1
        self._environment = shared.environment
        self._closed = False

    def __len__(self) -> int:
        return int(self._environment.stat()["entries"])

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in key order, from record number ``start`` to the end."""
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            if _at(cursor, start):
                yield from cursor.iternext()

    def mapped_values(self, start: int = 0) -> Iterator[memoryview]:
        """Yield views of the mapped values in key order, from record number ``start`` on.

        Nothing is copied.  A view is valid until this store, and every other store of this folder
        in this process, is closed.
        """
        environment = self._environment
        with environment.begin(buffers=True) as transaction, transaction.cursor() as cursor:
            if _at(cursor, start):
                yield from cursor.iternext(keys=False)

    def value(self, key: bytes) -> bytes | None:
        """The value of a key; None if the store does not have the key."""
        with self._environment.begin() as transaction:
            return transaction.get(key)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys in order, without reading the values."""
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            yield from cursor.iternext(keys=True, values=False)

    def give_back_pages(self) -> None:
        """Remove the pages read so far from this process's resident memory (not from the cache)."""
        mapped_pages.give_back(Path(self._environment.path()) / "data.mdb")

    def first(self) -> tuple[bytes, bytes]:
        """Return the first record.  Raises TinynetError if there is none."""
        for record in self.records():
            return record
        raise TinynetError(f"{self.path}: has no records; convert the data set again")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with _open_lock:
            shared = _open.get(self._key)
            # it is another one if this store comes from before a fork
            if shared is not None and shared.environment is self._environment:
                shared.users -= 1
                if shared.users == 0:
                    del _open[self._key]
                    shared.environment.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _at(cursor: lmdb.Cursor[Any], start: int) -> bool:
    """Move the cursor to record number ``start``; return False if there is none."""
    if start < 0:
        raise ValueError(f"start must not be negative; got {start}")
    return cursor.first() and all(cursor.next() for _ in range(start))


def is_open(path: Path) -> bool:
    """Whether a store of this process has the LMDB open."""
    return _identity(path) in _open


def open_store(path: Path | str) -> Store:
    """Open the LMDB folder ``path`` for reading.  Raises TinynetError if it is not one."""
    return Store(Path(path))


def _open_environment(path: Path) -> lmdb.Environment:
    if not (path / "data.mdb").is_file():
        what = "is not an LMDB folder (no data.mdb)" if path.exists() else "no such LMDB folder"
        raise TinynetError(f"{path}: {what}; make it with 'tinynet data convert'")
    location = _lmdb_path(path)
    try:
        # readahead: the file has the records in the order in which they are read
        environment = lmdb.open(
            location,
            readonly=True,
            lock=False,
            readahead=True,
            create=False,
            max_spare_txns=8,
        )
    except lmdb.Error as error:
        advice = ""
        if "already open in this process" in str(error):
            advice = "; the script has it open itself: close that first (env.close())"
        raise TinynetError(f"{path}: cannot be read as an LMDB: {error}{advice}") from None
    try:
        _require_whole(environment, path / "data.mdb")
    except TinynetError:
        environment.close()
        raise
    return environment


def _require_whole(environment: lmdb.Environment, file: Path) -> None:
    """Raise TinynetError if a file was cut short: reading a missing page would kill the process.

    LMDB may count a few last pages that it never wrote, because it had freed them again.
    """
    page = int(environment.stat()["psize"])
    whole, found = (int(environment.info()["last_pgno"]) + 1) * page, file.stat().st_size
    if found + _UNWRITTEN_PAGES * page < whole:
        raise TinynetError(
            f"{file}: is cut short, {found:,} of {whole:,} bytes; copy it again, or convert the "
            "data set again"
        )


def _lmdb_path(path: Path) -> str:
    """The path as LMDB takes it, in UTF-8; a prototxt's strings are UTF-8 too."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise TinynetError(f"{path}: an LMDB's path must be UTF-8; rename the folder") from None
    return str(path)


class Writer:
    """Puts records into a new LMDB folder; a context manager.

    The map grows as needed.  Records written in key order give the fastest and smallest store; in
    any other order LMDB sorts them.  Raises TinynetError for a key that is too long or occurs
    twice, and OSError (with the path) if the device is full or the folder cannot be created.
    """

    def __init__(self, path: Path | str) -> None:
        self._folder = Path(path)
        location = _lmdb_path(self._folder)
        self._folder.mkdir(parents=True)
        # sync once, at the end: an unfinished folder is of no use anyway
        try:
            self._environment = lmdb.open(
                location, map_size=_FIRST_MAP_BYTES, sync=False, metasync=False
            )
        except lmdb.Error as error:
            raise _as_os_error(error, self._folder) from None
        self._batch: list[tuple[bytes, bytes]] = []
        self._size = 0
        self.count = 0

    def put(self, key: bytes, value: bytes) -> None:
        if not 0 < len(key) <= _LONGEST_KEY:
            raise TinynetError(
                f"{self._folder}: a key must have 1 to {_LONGEST_KEY} bytes; {key[:40]!r}… has "
                f"{len(key)}"
            )
        self._batch.append((key, value))
        self._size += len(key) + len(value)
        self.count += 1
        if self._size >= _COMMIT_BYTES:
            self._commit()

    def _commit(self) -> None:
        try:
            _commit(self._environment, self._folder, self._batch)
        except lmdb.Error as error:
            raise _as_os_error(error, self._folder) from None
        self._batch, self._size = [], 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._commit()
                self._environment.sync(True)
        except lmdb.Error as failed:
            raise _as_os_error(failed, self._folder) from None
        finally:
            self._environment.close()


def write_store(path: Path | str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Write (key, value) records into a new LMDB folder with ``Writer``; return their number."""
    with Writer(path) as writer:
        for key, value in records:
            writer.put(key, value)
    return writer.count


def _commit(environment: lmdb.Environment, folder: Path, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in batch:
                    if not transaction.put(key, value, overwrite=False):
                        raise TinynetError(f"{folder}: two records have the key {key!r}")
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


def _as_os_error(error: lmdb.Error, folder: Path) -> Exception:
    """The OSError behind an LMDB error, which names an errno only by its text."""
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        if os.strerror(number) in text:
            # LMDB reports a short write as an input/output error, though the device may be full, or
            # the file may have reached a limit on its size
            if number == errno.EIO:
                if shutil.disk_usage(folder).free < 2 * _COMMIT_BYTES:
                    number = errno.ENOSPC
                elif resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
                    number = errno.EFBIG
            return OSError(number, os.strerror(number), str(folder))
    return TinynetError(f"{folder}: LMDB failed: {text}")
