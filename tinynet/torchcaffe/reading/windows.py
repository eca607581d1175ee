"""Windows in images: the list that WindowData reads, and how a window is cropped.

For each image a window file has ``# INDEX``, the path, channels, height, width and the number of
windows; and for each window its class, its overlap with an object, x1, y1, x2 and y2 (inclusive).
All are separated by white space.  Source: Caffe's src/caffe/layers/window_data_layer.cpp.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np

from tinynet.caffeformat import image_decoding, schema
from tinynet.torchcaffe.errors import CaffeError, check, read_file

_F = np.float32


class Window(NamedTuple):
    """One window: the image's index, the class, and the corners, inclusive."""

    image: int
    label: int
    x1: int
    y1: int
    x2: int
    y2: int


class WindowList(NamedTuple):
    images: list[str]
    foreground: list[Window]
    background: list[Window]


class _Words:
    """Reads a file word by word, as text or as numbers."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._words = read_file(source).split()
        self._place = 0

    def __bool__(self) -> bool:
        return self._place < len(self._words)

    def word(self, what: str) -> str:
        check(bool(self), f"{self.source} ends where {what} should be")
        self._place += 1
        return os.fsdecode(self._words[self._place - 1])

    def number(self, what: str) -> float:
        word = self.word(what)
        try:
            return float(word)
        except ValueError:
            raise CaffeError(
                f"{self.source}, word {self._place}: {what} should be a number, not '{word}'"
            ) from None

    def whole(self, what: str) -> int:
        value = self.number(what)
        check(
            value == math.floor(value) and abs(value) < 2**31,
            f"{self.source}, word {self._place}: {what} should be a whole number, not {value}",
        )
        return int(value)


def read_windows(p: schema.WindowDataParameter) -> WindowList:
    """Read the images and windows of a WindowDataParameter's ``source``.

    A window that overlaps an object by ``fg_threshold`` or more is foreground; one that overlaps
    by less than ``bg_threshold`` is background, of class 0; others are left out.  Raises CaffeError
    if the file cannot be read or is not such a list.
    """
    words = _Words(p.source)
    check(bool(words), f"{p.source} is empty; a window file lists images and their windows")
    found = WindowList([], [], [])
    while words:
        mark = words.word("'#'")
        check(mark == "#", f"{p.source}: an image begins with '#', not '{mark}'")
        index = words.whole("an image's number")
        check(
            index == len(found.images),
            f"{p.source}: images are numbered from 0 on; number {len(found.images)} is called "
            f"{index}",
        )
        found.images.append(p.root_folder + words.word("an image's path"))
        channels = words.whole("channels")
        check(
            channels == 3, f"{p.source}: images are read in colour, with 3 channels; got {channels}"
        )
        words.whole("height")
        words.whole("width")
        for _ in range(words.whole("the number of windows")):
            label, overlap = words.whole("a class"), _F(words.number("an overlap"))
            corners = [words.whole(name) for name in ("x1", "y1", "x2", "y2")]
            if overlap >= _F(p.fg_threshold):
                check(
                    label > 0, f"{p.source}: a foreground window's class is 1 or more; got {label}"
                )
                found.foreground.append(Window(index, label, *corners))
            elif overlap < _F(p.bg_threshold):
                found.background.append(Window(index, 0, *corners))
    return found


class Cut(NamedTuple):
    """The part of an image that is cropped, and the part of the crop that it fills, resized."""

    x1: int
    y1: int
    x2: int
    y2: int
    pad_w: int
    pad_h: int
    width: int
    height: int


def place(
    window: Window,
    size: tuple[int, int],
    crop: int,
    context_pad: int,
    square: bool,
    mirror: bool,
) -> Cut:
    """Place a window of an image of ``size`` (height, width) in a crop of crop × crop.

    With ``context_pad`` or ``square`` the window is widened, so that ``context_pad`` pixels of the
    crop surround it; what lies outside the image is left empty.  Computed in float32, as in Caffe.
    """
    _, _, x1, y1, x2, y2 = window
    if not context_pad and not square:
        return Cut(x1, y1, x2, y2, 0, 0, crop, crop)
    scale = _F(crop) / _F(crop - 2 * context_pad)
    half_height, half_width = _F(y2 - y1 + 1) / _F(2), _F(x2 - x1 + 1) / _F(2)
    center_x, center_y = _F(x1) + half_width, _F(y1) + half_height
    if square:
        half_height = half_width = max(half_height, half_width)
    x1, x2 = (_round(center_x + sign * half_width * scale) for sign in (_F(-1), _F(1)))
    y1, y2 = (_round(center_y + sign * half_height * scale) for sign in (_F(-1), _F(1)))
    whole_width, whole_height = x2 - x1 + 1, y2 - y1 + 1
    beyond = max(0, -x1), max(0, -y1), max(0, x2 - size[1] + 1), max(0, y2 - size[0] + 1)
    x1, y1, x2, y2 = x1 + beyond[0], y1 + beyond[1], x2 - beyond[2], y2 - beyond[3]
    scale_x, scale_y = _F(crop) / _F(whole_width), _F(crop) / _F(whole_height)
    width, height = _round(_F(x2 - x1 + 1) * scale_x), _round(_F(y2 - y1 + 1) * scale_y)
    pad_h = _round(_F(beyond[1]) * scale_y)
    # the padding is mirrored with the image
    pad_w = _round(_F(beyond[2 if mirror else 0]) * scale_x)
    return Cut(x1, y1, x2, y2, pad_w, pad_h, min(width, crop - pad_w), min(height, crop - pad_h))


def _round(value: np.float32) -> int:
    """C's round: halves away from zero."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def crop_and_resize(image: np.ndarray, cut: Cut, mirror: bool, path: str) -> np.ndarray:
    """Crop, resize and, if ``mirror``, mirror a part of an image: uint8 C×height×width.

    Raises CaffeError if the window does not lie in the image, or if nothing of it is left.
    """
    _, rows, columns = image.shape
    check(
        0 <= cut.x1 <= cut.x2 < columns and 0 <= cut.y1 <= cut.y2 < rows,
        f"a window must lie in its image; {path} is {columns}×{rows}, and the window goes from "
        f"({cut.x1}, {cut.y1}) to ({cut.x2}, {cut.y2})",
    )
    check(
        cut.width > 0 and cut.height > 0,
        f"a window of {path} is {cut.width}×{cut.height} pixels of the crop; leave it out",
    )
    part = image[:, cut.y1 : cut.y2 + 1, cut.x1 : cut.x2 + 1]
    resized = image_decoding.resize(np.ascontiguousarray(part), cut.height, cut.width)
    return resized[:, :, ::-1] if mirror else resized
