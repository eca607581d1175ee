"""Decodes images in as many threads as there are cores.

Threads, not processes: simplejpeg releases Python's lock while it decodes, and no pixels have to be
sent.  On platforms without simplejpeg, Pillow decodes to the same pixels at a third of the speed.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

try:
    import simplejpeg
except ImportError:  # no wheel for this platform
    simplejpeg = None

from tinynet.caffeformat.image_decoding import is_deep, upright
from tinynet.dataset.annotations import Box
from tinynet.dataset.image_set import IMAGE_SIZE, ImageFile
from tinynet.dataset.source_files import Files
from tinynet.processor import usable_cores

_CHUNK = 128  # images that one task decodes: about 1.5 MB
_TOO_FEW = 2 * _CHUNK  # up to so many images are not worth starting threads for


class BadImage(Exception):
    """The image cannot be used; the message is the reason, to be put after the image's name."""


class Decoded(NamedTuple):
    """A decoded image: its pixels, or the reason why there are none."""

    image: ImageFile
    pixels: np.ndarray | None  # uint8 C×H×W, BGR
    reason: str
    was_gray: bool
    digest: str  # SHA-256 of the file's bytes; "" if it could not be read


class _Result(NamedTuple):
    reason: str
    was_gray: bool
    digest: str


def decode_image(data: bytes, box: Box | None = None) -> tuple[np.ndarray, bool]:
    """Decode a JPEG or PNG of 64×64 pixels; return uint8 BGR pixels 3×64×64, and if it was gray.

    With a ``box``, only that part is used, scaled to 64×64 (bilinear).  Raises BadImage unless the
    bytes are a whole image of that size.  Transparency is ignored, and a JPEG's EXIF orientation is
    applied, as OpenCV does for Caffe.
    """
    target = np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    was_gray = _decode_into(target, data, box)
    return np.ascontiguousarray(target.transpose(2, 0, 1)), was_gray


def _decode_into(target: np.ndarray, data: bytes, box: Box | None) -> bool:
    """As ``decode_image``, into ``target`` (uint8 64×64×3, BGR); return whether it was gray."""
    height, width, channels = jpeg_frame(data)
    plain = (height, width) == (IMAGE_SIZE, IMAGE_SIZE) and channels in (1, 3)
    plain = plain and not _may_be_turned(data)
    if plain and _decode_plain(target, data):
        was_gray = channels == 1
    else:
        color, was_gray = _open(data)
        target[...] = np.asarray(color)[..., ::-1]
    if box is not None:
        # crop first: resize(box=...) would blend in pixels around the box; the order of the
        # channels makes no difference
        part = Image.fromarray(target).crop((box.left, box.top, box.right + 1, box.bottom + 1))
        target[...] = part.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return was_gray


def _decode_plain(target: np.ndarray, data: bytes) -> bool:
    """Decode what is most likely a whole JPEG of the right size; return False if it is not."""
    try:
        if simplejpeg is not None:
            # strict (the default): libjpeg's warnings are errors
            simplejpeg.decode_jpeg(data, "BGR", buffer=target)
        else:
            # the bare decoder takes half the time: Image.open reads every header in Python
            size = (IMAGE_SIZE, IMAGE_SIZE)
            target[...] = np.asarray(Image.frombytes("RGB", size, data, "jpeg", "RGB", ""))[
                ..., ::-1
            ]
    except ValueError:
        return False
    return True


def _may_be_turned(data: bytes) -> bool:
    """Whether a JPEG has EXIF data, which may say that the image is turned."""
    return b"Exif\0\0" in data[:4096]  # by EXIF's own rule it comes first


def jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Height, width and channels in a JPEG's frame header; zeros if there is none.

    A JPEG is a sequence of segments: 0xFF, a marker and, except in the first, a length and content.
    The frame header SOFn has the marker 0xC0+n (ITU-T T.81, B.2.2); those in use have n ≤ 2.
    """
    position = 2 if data[:2] == b"\xff\xd8" else len(data)
    while position + 10 <= len(data) and data[position] == 0xFF:
        if 0xC0 <= data[position + 1] <= 0xC2:
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            width = int.from_bytes(data[position + 7 : position + 9], "big")
            return height, width, data[position + 9]
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0, 0, 0


def _open(data: bytes) -> tuple[Image.Image, bool]:
    """Decode with Pillow's full checks; return an RGB image, and if it was grayscale.

    Raises BadImage with the reason if it cannot be used.
    """
    if not data:
        raise BadImage("is empty")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            # checked before decoding: a damaged header may state any size
            if image.size != (IMAGE_SIZE, IMAGE_SIZE):
                width, height = image.size
                raise BadImage(f"is {width}×{height}, not {IMAGE_SIZE}×{IMAGE_SIZE}")
            if is_deep(image):  # convert() would clip the values
                raise BadImage("has 16 bits for each channel, not 8")
            was_gray = image.mode in ("1", "L", "LA")
            return upright(image).convert("RGB"), was_gray
    except UnidentifiedImageError:
        raise BadImage("is neither a JPEG nor a PNG") from None
    except Image.DecompressionBombError:
        raise BadImage(f"is far larger than {IMAGE_SIZE}×{IMAGE_SIZE}") from None
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error) as error:
        reason = f"cannot be decoded ({error})"
        if "truncated" in str(error).lower():  # Pillow says so of data and of headers
            reason = "is truncated"
        raise BadImage(reason) from None


def decode_all(
    files: Files, images: Sequence[ImageFile], *, crop_to_box: bool = False, jobs: int | None = None
) -> Generator[Decoded, None, None]:
    """Decode images in order; only a bounded number of them is held at a time.

    ``jobs``: number of decoding threads, by default one per core that this process may use; a few
    images are decoded without threads.  A generator that is not run to its end must be closed, to
    end the threads.
    """
    if jobs is None:
        jobs = 1 if len(images) <= _TOO_FEW else usable_cores()
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            sources = _sources(files, chunk)
            yield from _joined(chunk, *_decode_chunk(sources, chunk, crop_to_box))
        return
    pool = ThreadPoolExecutor(jobs, "decoder")
    waiting: deque[tuple[Sequence[ImageFile], Future[tuple[np.ndarray, list[_Result]]]]] = deque()
    try:
        upcoming = iter(chunks)
        while True:
            # two tasks for each thread: one at work, one waiting
            for chunk in itertools.islice(upcoming, 2 * jobs - len(waiting)):
                sources = _sources(files, chunk)  # here, since only one thread may read a zip
                waiting.append((chunk, pool.submit(_decode_chunk, sources, chunk, crop_to_box)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            yield from _joined(chunk, *future.result())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _sources(files: Files, images: Sequence[ImageFile]) -> list[str | bytes | OSError]:
    """For each image its path or its bytes, or the error with which it cannot be read."""
    sources: list[str | bytes | OSError] = []
    for image in images:
        try:
            sources.append(files.source(image.path))
        except OSError as error:
            sources.append(error)
    return sources


def _decode_chunk(
    sources: list[str | bytes | OSError], images: Sequence[ImageFile], crop_to_box: bool
) -> tuple[np.ndarray, list[_Result]]:
    """Pixels N×3×64×64, undefined for bad images, and the other results for each image."""
    block = np.empty((len(images), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    results = [
        _decode(source, image.box if crop_to_box else None, target)
        for source, image, target in zip(sources, images, block)
    ]
    return np.ascontiguousarray(block.transpose(0, 3, 1, 2)), results


def _decode(source: str | bytes | OSError, box: Box | None, target: np.ndarray) -> _Result:
    try:
        if isinstance(source, OSError):
            raise source
        data = source if isinstance(source, bytes) else _read(source)
    except OSError as error:
        return _Result(f"cannot be read ({error.strerror or error})", False, "")
    digest = hashlib.sha256(data).hexdigest()
    try:
        return _Result("", _decode_into(target, data, box), digest)
    except BadImage as error:
        return _Result(str(error), False, digest)


def _joined(
    images: Sequence[ImageFile], block: np.ndarray, results: list[_Result]
) -> Generator[Decoded, None, None]:
    for image, pixels, result in zip(images, block, results):
        yield Decoded(image, None if result.reason else pixels, *result)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
