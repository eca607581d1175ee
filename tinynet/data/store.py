"""LMDBs of Caffe Datums: the only module that imports lmdb.

A store is a folder with ``data.mdb``, as Caffe's own tools write it: one unnamed database whose
keys, in byte order, give the order in which Caffe's Data layer walks the records
(``src/caffe/util/db_lmdb.cpp``).
"""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb
import numpy as np
from google.protobuf.message import DecodeError

from tinynet.data import mapped_pages
from tinynet.data.local_copy import readable_path
from tinynet.errors import TinynetError
from tinynet.prototxt import schema

# Records go in by transactions of about this many bytes: large enough that a commit costs little,
# small enough that repeating one after the map was full costs little too.
_COMMIT_BYTES = 16 << 20
_FIRST_MAP_BYTES = 64 << 20
_LONGEST_KEY = 511  # LMDB's own limit
_LARGEST_PICTURE = 1 << 26  # pixels of an encoded Datum: 8192×8192
# what Pillow raises on bytes that are no picture
_BAD_PICTURE = (OSError, SyntaxError, ValueError, IndexError, TypeError, KeyError, EOFError,
                struct.error, zlib.error, OverflowError, MemoryError)  # fmt: skip


def decode_datum(value: bytes | memoryview, force_color: bool = False) -> tuple[np.ndarray, int]:
    """Read a Datum: (pixels C×H×W, label).

    Pixels are uint8 in 0..255 (read-only), or float32 where the Datum holds ``float_data``.  An
    encoded picture (JPEG, PNG) is decoded to BGR, or to one channel where it is grayscale and
    ``force_color`` is off, as Caffe's ``DecodeDatumNative`` does.
    Raises TinynetError where the bytes are no Datum or their number is not channels·height·width.
    """
    datum = schema.Datum()
    try:
        datum.ParseFromString(bytes(value))
    except DecodeError:
        raise TinynetError("record is not a Caffe Datum; convert the data set again") from None
    if datum.encoded:
        return _decode_picture(datum.data, force_color), datum.label
    shape = (datum.channels, datum.height, datum.width)
    data = datum.data
    if data or not datum.float_data:
        pixels = np.frombuffer(data, np.uint8)
    else:
        pixels = np.array(datum.float_data, np.float32)
    if min(shape) < 1 or pixels.size != shape[0] * shape[1] * shape[2]:
        raise TinynetError(
            f"Datum of {shape[0]}×{shape[1]}×{shape[2]} holds {pixels.size} values; "
            "convert the data set again"
        )
    return pixels.reshape(shape), datum.label


class DatumReader:
    """Reads the Datums of one data set, whose pictures are mostly alike, without copying them.

    A protobuf message cut in two is the merge of both parts.  So where a record begins with the
    very bytes that announce pixels of the last record's shape, and what follows these pixels says
    nothing of pixels, the pixels stand between the two; every other record is parsed whole.
    """

    def __init__(self, force_color: bool = False) -> None:
        """``force_color``: as in ``decode_datum``."""
        self._force_color = force_color
        self._shape: tuple[int, ...] = ()
        self._head = b"\0"  # begins no message
        self._start = 1
        self._end = 1

    def read(self, value: bytes | memoryview) -> tuple[np.ndarray, int]:
        """What ``decode_datum`` reads, but uint8 pixels are a read-only view into ``value``."""
        start, end = self._start, self._end
        if value[:start] == self._head and len(value) >= end:
            label = _label_behind(bytes(value[end:]))
            if label is not None:
                return np.ndarray(self._shape, np.uint8, value, start), label
        pixels, label = decode_datum(value, self._force_color)
        if pixels.dtype == np.uint8:
            self._shape = pixels.shape
            self._head, _ = _around_pixels(pixels.shape, 0)
            self._start = len(self._head)
            self._end = self._start + pixels.size
        return pixels, label


@lru_cache(maxsize=4096)
def _label_behind(rest: bytes) -> int | None:
    """The label that the end of a Datum states, None where it is no message or states more."""
    datum = schema.Datum()
    try:
        datum.ParseFromString(rest)
    except DecodeError:
        return None
    stated = {field.name for field, _ in datum.ListFields()}
    return int(datum.label) if stated <= {"label", "encoded"} and not datum.encoded else None


def _decode_picture(data: bytes, force_color: bool) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            # before any pixel is decoded: a header of 100 bytes can ask for gigabytes
            if picture.width * picture.height > _LARGEST_PICTURE:
                raise ValueError(f"it is {picture.width}×{picture.height}, too large")
            if picture.mode == "L" and not force_color:
                return np.asarray(picture)[None]
            return np.ascontiguousarray(
                np.asarray(picture.convert("RGB"))[..., ::-1].transpose(2, 0, 1)
            )
    except UnidentifiedImageError:  # its message names an object in memory
        raise TinynetError(
            f"encoded Datum cannot be decoded: its {len(data)} bytes are no picture"
        ) from None
    except (*_BAD_PICTURE, Image.DecompressionBombError) as error:
        raise TinynetError(f"encoded Datum cannot be decoded: {error}") from None


def encode_datum(pixels: np.ndarray, label: int) -> bytes:
    """Write pixels (C×H×W; uint8, or anything else as float32) and a label as a Datum."""
    if pixels.dtype == np.uint8:
        before, behind = _around_pixels(pixels.shape, label)
        return before + pixels.tobytes() + behind
    datum = schema.Datum(label=label)
    datum.channels, datum.height, datum.width = pixels.shape
    datum.float_data.extend(pixels.astype(np.float32).ravel().tolist())
    return datum.SerializeToString()


@lru_cache(maxsize=4096)
def _around_pixels(shape: tuple[int, ...], label: int) -> tuple[bytes, bytes]:
    """The bytes of a Datum before and behind its uint8 pixels: the same for a whole class."""
    datum = schema.Datum(label=label)
    behind = datum.SerializeToString()  # the label is the last field
    datum.channels, datum.height, datum.width = shape
    datum.data = bytes(datum.channels * datum.height * datum.width)
    whole = datum.SerializeToString()
    return whole[: len(whole) - len(datum.data) - len(behind)], behind


@dataclass
class _Shared:
    """One open environment and the number of stores that use it."""

    environment: lmdb.Environment
    users: int = 0


# LMDB must not be opened twice in one process, but the nets of one solver may well read the same
# database, each from a thread of its own: they share the environment.  A forked child opens anew.
_open: dict[tuple[int, str], _Shared] = {}
_open_lock = threading.Lock()


class Store:
    """A read-only LMDB of records, for any number of iterators in any thread.

    Opened without LMDB's lock file, so that read-only folders and network file systems do; the
    folder must not be written meanwhile.  A context manager; ``close`` may be called twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key = (os.getpid(), os.path.realpath(path))
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
        """Yield the values in key order, from record number ``start`` on, where the map has them.

        Nothing is copied.  A view may be read until the store, and every other one of this folder
        in this process, is closed.
        """
        environment = self._environment
        with environment.begin(buffers=True) as transaction, transaction.cursor() as cursor:
            if _at(cursor, start):
                yield from cursor.iternext(keys=False)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys in order, without reading the values."""
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            yield from cursor.iternext(keys=True, values=False)

    def give_back_pages(self) -> None:
        """Take what was read so far out of this process's resident memory (not of the cache)."""
        mapped_pages.give_back(Path(self._environment.path()) / "data.mdb")

    def first(self) -> tuple[bytes, bytes]:
        """Return the first record; raises TinynetError where there is none."""
        for record in self.records():
            return record
        raise TinynetError(f"{self.path}: holds no record; convert the data set again")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with _open_lock:
            shared = _open.get(self._key)
            if shared is not None:
                shared.users -= 1
                if shared.users == 0:
                    del _open[self._key]
                    if self._key[0] == os.getpid():
                        shared.environment.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _at(cursor: lmdb.Cursor[Any], start: int) -> bool:
    """Move the cursor to record number ``start``; False where there is none."""
    if start < 0:
        raise ValueError(f"start is {start}, less than 0")
    return cursor.first() and all(cursor.next() for _ in range(start))


def open_store(path: Path | str) -> Store:
    """Open the LMDB folder ``path`` for reading; raises TinynetError where it is not one."""
    return Store(Path(path))


def _open_environment(path: Path) -> lmdb.Environment:
    if not (path / "data.mdb").is_file():
        what = "is not an LMDB folder (no data.mdb)" if path.exists() else "no such LMDB folder"
        raise TinynetError(f"{path}: {what}; make it with 'tinynet data convert'")
    location = _lmdb_path(readable_path(path))
    try:
        # readahead: records lie in the file in the order in which they are read
        return lmdb.open(
            location,
            readonly=True,
            lock=False,
            readahead=True,
            create=False,
            max_spare_txns=8,
        )
    except lmdb.Error as error:
        raise TinynetError(f"{path}: cannot be read as an LMDB: {error}") from None


def _lmdb_path(path: Path) -> str:
    """The path as LMDB takes it; so does a prototxt, whose strings are UTF-8 as well."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise TinynetError(f"{path}: an LMDB's path must be UTF-8; rename the folder") from None
    return str(path)


def write_store(path: Path | str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Write (key, value) records into a new LMDB folder and return their number.

    The map grows as needed.  Keys in rising order are written fastest and smallest; in any other
    order they are sorted by LMDB.  Raises TinynetError for a key that is too long or occurs twice,
    and OSError (with the path) where the device is full or the folder cannot be made.
    """
    folder = Path(path)
    location = _lmdb_path(folder)
    folder.mkdir(parents=True)
    # sync once, at the end: an unfinished folder is worth nothing anyway
    try:
        environment = lmdb.open(location, map_size=_FIRST_MAP_BYTES, sync=False, metasync=False)
    except lmdb.Error as error:
        raise _as_os_error(error, folder) from None
    count = 0
    try:
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        for key, value in records:
            if not 0 < len(key) <= _LONGEST_KEY:
                raise TinynetError(
                    f"{folder}: a key has 1 to {_LONGEST_KEY} bytes, but {key[:40]!r}… {len(key)}"
                )
            batch.append((key, value))
            size += len(key) + len(value)
            if size >= _COMMIT_BYTES:
                _commit(environment, folder, batch)
                count += len(batch)
                batch, size = [], 0
        _commit(environment, folder, batch)
        environment.sync(True)
        return count + len(batch)
    except lmdb.Error as error:
        raise _as_os_error(error, folder) from None
    finally:
        environment.close()


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
    """LMDB names an errno only in words: find it, so that a full device is reported as one."""
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        if os.strerror(number) in text:
            # LMDB calls a write that was cut short an input/output error: by the end of the device,
            # or by a limit on the size of files
            if number == errno.EIO:
                if shutil.disk_usage(folder).free < 2 * _COMMIT_BYTES:
                    number = errno.ENOSPC
                elif resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
                    number = errno.EFBIG
            return OSError(number, os.strerror(number), str(folder))
    return TinynetError(f"{folder}: LMDB failed: {text}")
