"""Decodes pictures, in as many processes as there are cores.

Processes, not threads: of the time that Pillow takes for a 64×64 JPEG, about half goes into
reading headers in Python, which threads cannot share.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import struct
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tinynet.data.annotations import Box
from tinynet.data.files import Files
from tinynet.data.tiny_imagenet import PICTURE_SIZE, Picture
from tinynet.errors import TinynetError

_CHUNK = 128  # pictures that one task decodes: about 1.5 MB to send back
_TOO_FEW = 2 * _CHUNK  # not worth starting processes for


class BadPicture(Exception):
    """The picture cannot be used; the message says why, as what follows its name."""


class Decoded(NamedTuple):
    """A picture read: its pixels, or the reason why there are none."""

    picture: Picture
    pixels: np.ndarray | None  # uint8 C×H×W, BGR
    reason: str
    was_gray: bool
    digest: str  # SHA-256 of the file's bytes, empty where it could not be read


class _Task(NamedTuple):
    source: str | bytes
    box: Box | None


class _Result(NamedTuple):
    pixels: np.ndarray | None
    reason: str
    was_gray: bool
    digest: str


# What a decoding process sends back: the pixels of all good pictures as one array, which travels
# faster than one each, and of every picture the rest.
_Parcel = tuple[np.ndarray, list[_Result]]


def decode_jpeg(data: bytes, box: Box | None = None) -> tuple[np.ndarray, bool]:
    """Decode a JPEG of 64×64 pixels: (uint8 BGR pixels 3×64×64, whether it was grayscale).

    With a ``box``, that part of it is scaled to 64×64 (bilinear).  Raises BadPicture where the
    bytes are not a whole JPEG of that size.
    """
    color = None
    height, width, channels = jpeg_frame(data)
    if (height, width) == (PICTURE_SIZE, PICTURE_SIZE) and channels in (1, 3):
        # the decoder alone takes half the time: Image.open reads every header in Python
        with contextlib.suppress(ValueError):
            color = Image.frombytes("RGB", (width, height), data, "jpeg", "RGB", "")
    was_gray = channels == 1
    if color is None:
        color, was_gray = _open_jpeg(data)
    if box is not None:
        # cut first: resize(box=…) alone would let the pixels around the box bleed in
        part = color.crop((box.left, box.top, box.right + 1, box.bottom + 1))
        color = part.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(color)[..., ::-1].transpose(2, 0, 1)), was_gray


def jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Height, width and channels of a JPEG by its frame header; zeros where there is none.

    A JPEG is a row of segments: 0xFF, a marker, and but for the first a length and content.  The
    frame header SOFn has the marker 0xC0+n (ITU-T T.81, B.2.2); all in use have n 0, 1 or 2.
    """
    position = 2 if data[:2] == b"\xff\xd8" else len(data)
    while position + 10 <= len(data) and data[position] == 0xFF:
        if 0xC0 <= data[position + 1] <= 0xC2:
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            width = int.from_bytes(data[position + 7 : position + 9], "big")
            return height, width, data[position + 9]
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0, 0, 0


def _open_jpeg(data: bytes) -> tuple[Image.Image, bool]:
    """Decode with all of Pillow's care, which also tells what is wrong; as ``decode_jpeg``."""
    if not data:
        raise BadPicture("is empty")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            # before any pixel is decoded: the size in a damaged header can be anything
            if picture.size != (PICTURE_SIZE, PICTURE_SIZE):
                width, height = picture.size
                raise BadPicture(f"is {width}×{height}, not {PICTURE_SIZE}×{PICTURE_SIZE}")
            return picture.convert("RGB"), picture.mode == "L"
    except UnidentifiedImageError:
        raise BadPicture("is not a JPEG") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"is far larger than {PICTURE_SIZE}×{PICTURE_SIZE}") from None
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error) as error:
        reason = f"cannot be decoded ({error})"
        if "truncated" in str(error).lower():  # of the data, or of the header
            reason = "is truncated"
        raise BadPicture(reason) from None


def decode_all(
    files: Files, pictures: Sequence[Picture], *, crop_to_box: bool = False, jobs: int | None = None
) -> Generator[Decoded, None, None]:
    """Decode pictures in their order, holding a bounded number of them at a time.

    ``jobs``: decoding processes, by default as many as this process may use cores; few pictures
    are decoded here.  Close the generator, if not run to its end, to end the processes.
    """
    if jobs is None:
        jobs = 1 if len(pictures) <= _TOO_FEW else _usable_cores()
    chunks = [pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            for picture in chunk:
                task = _task(files, picture, crop_to_box)
                yield Decoded(picture, *(task if isinstance(task, _Result) else _decode(task)))
        return
    # spawn: this process may have threads, and holds an LMDB open
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare_worker)
    waiting: deque[tuple[Sequence[Picture], Future[_Parcel]]] = deque()
    try:
        upcoming = iter(chunks)
        while True:
            # two tasks for each process: one at work, one at hand
            for chunk in itertools.islice(upcoming, 2 * jobs - len(waiting)):
                tasks = [_task(files, picture, crop_to_box) for picture in chunk]
                waiting.append((chunk, pool.submit(_decode_chunk, tasks)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            block, results = future.result()
            pixels = iter(block)
            for picture, result in zip(chunk, results):
                decoded = None if result.reason else next(pixels)
                yield Decoded(picture, *result._replace(pixels=decoded))
    except BrokenProcessPool:
        raise TinynetError(
            "a decoding process died, perhaps for want of memory; run again with fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _task(files: Files, picture: Picture, crop_to_box: bool) -> _Task | _Result:
    try:
        return _Task(files.source(picture.path), picture.box if crop_to_box else None)
    except OSError as error:
        return _Result(None, f"cannot be read ({error.strerror or error})", False, "")


def _decode_chunk(tasks: list[_Task | _Result]) -> _Parcel:
    results = [task if isinstance(task, _Result) else _decode(task) for task in tasks]
    good = [result.pixels for result in results if result.pixels is not None]
    block = np.stack(good) if good else np.empty((0,), np.uint8)
    return block, [result._replace(pixels=None) for result in results]


def _decode(task: _Task) -> _Result:
    try:
        data = task.source if isinstance(task.source, bytes) else _read(task.source)
    except OSError as error:
        return _Result(None, f"cannot be read ({error.strerror or error})", False, "")
    digest = hashlib.sha256(data).hexdigest()
    try:
        pixels, was_gray = decode_jpeg(data, task.box)
    except BadPicture as error:
        return _Result(None, str(error), False, digest)
    return _Result(pixels, "", was_gray, digest)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _prepare_worker() -> None:
    # Ctrl-C reaches every process of the terminal: the parent decides what happens then
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def end_with_parent() -> None:
        wait([sentinel])
        os._exit(1)

    # a killed parent closes no queue that its workers would notice
    threading.Thread(target=end_with_parent, daemon=True).start()
