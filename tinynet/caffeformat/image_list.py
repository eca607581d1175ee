"""Reads a list of images and labels, as ``convert_imageset`` and ImageData take it.

Each line has a file's name, a blank and a label; the name may have blanks too.  In a line without a
blank the whole line is the name, and the label is its leading number or 0, as C's atoi reads it.
Source: Caffe's tools/convert_imageset.cpp and src/caffe/layers/image_data_layer.cpp.
"""

from __future__ import annotations

import os
import re

from tinynet.errors import TinynetError

_NUMBER = re.compile(rb"\s*([+-]?[0-9]+)")


def entries(content: bytes, where: str) -> list[tuple[bytes, int]]:
    """The names and labels of a list's ``content``; ``where`` names it in errors.

    Raises TinynetError if a label is not a whole number of 32 bits (Caffe takes 0, or other bits).
    """
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [_entry(line, f"{where}:{number}") for number, line in enumerate(lines, 1)]


def _entry(line: bytes, where: str) -> tuple[bytes, int]:
    name, blank, label = line.rpartition(b" ")
    if not blank:
        name = line
    match = _NUMBER.match(label)
    if blank and match is None and label.strip():
        shown = os.fsdecode(label)
        raise TinynetError(f"{where}: a label is a whole number; this line ends in '{shown}'")
    value = int(match[1]) if match else 0
    if not -(2**31) <= value < 2**31:
        raise TinynetError(f"{where}: the label {value} has more than 32 bits")
    return name, value
