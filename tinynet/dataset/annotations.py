"""Parses the text files of the Tiny ImageNet layout, strictly.

Every function takes the text and the file's name for error messages, and raises TinynetError
("FILE:LINE: what is wrong") at the first line that is not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tinynet.errors import TinynetError


class Box(NamedTuple):
    """A bounding box in pixels: left, top, right and bottom column or row, all inside the box."""

    left: int
    top: int
    right: int
    bottom: int


def decode_text(data: bytes, name: str) -> str:
    """Decode an annotation file (UTF-8, with or without a byte order mark)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TinynetError(f"{name}: is not text (byte {error.start} is not UTF-8)") from None


def parse_wnids(text: str, name: str) -> list[str]:
    """Parse ``wnids.txt``: one wnid per line; its position, from 0, is the class index."""
    wnids: dict[str, int] = {}
    for number, line in _lines(text):
        wnid = line.strip()
        # a wnid names a folder
        if "/" in wnid or "\\" in wnid or wnid.startswith(".") or len(wnid.split()) != 1:
            raise TinynetError(f"{name}:{number}: {wnid!r} is not a wnid such as n02124075")
        if wnid in wnids:
            raise TinynetError(f"{name}:{number}: {wnid} is there already, in line {wnids[wnid]}")
        wnids[wnid] = number
    if not wnids:
        raise TinynetError(f"{name}: names no class; it needs one wnid a line")
    return list(wnids)


def parse_words(text: str, name: str) -> dict[str, str]:
    """Parse ``words.txt``: wnid, tab, class names, for far more classes than a data set has."""
    words: dict[str, str] = {}
    for number, line in _lines(text):
        wnid, tab, names = line.partition("\t")
        if not tab or not wnid.strip():
            raise TinynetError(f"{name}:{number}: needs a wnid, a tab and its names")
        words[wnid.strip()] = names.strip()
    return words


def parse_boxes(text: str, name: str, size: int) -> dict[str, Box]:
    """Parse ``WNID_boxes.txt``: file name and box of each training image of a class.

    Boxes must lie within images of size×size pixels.
    """
    boxes: dict[str, Box] = {}
    for number, line in _lines(text):
        where = f"{name}:{number}"
        fields = line.split("\t")
        if len(fields) != 5:
            raise TinynetError(f"{where}: needs 5 fields between tabs, has {len(fields)}")
        if fields[0] in boxes:
            raise TinynetError(f"{where}: {fields[0]} has a box already")
        boxes[fields[0]] = _box(fields[1:], where, size)
    return boxes


def parse_labels(text: str, name: str, size: int) -> dict[str, tuple[str, Box | None]]:
    """Parse ``val_annotations.txt``: file name, wnid and, if given, box of each image."""
    labels: dict[str, tuple[str, Box | None]] = {}
    for number, line in _lines(text):
        where = f"{name}:{number}"
        fields = line.split("\t")
        if len(fields) not in (2, 6):
            raise TinynetError(f"{where}: needs 2 or 6 fields between tabs, has {len(fields)}")
        if fields[0] in labels:
            raise TinynetError(f"{where}: {fields[0]} has an annotation already")
        box = _box(fields[2:], where, size) if len(fields) == 6 else None
        labels[fields[0]] = (fields[1].strip(), box)
    return labels


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of the lines that are not blank."""
    # not splitlines(), which also breaks at characters that a class name may contain
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _box(fields: list[str], where: str, size: int) -> Box:
    try:
        box = Box(*(int(field) for field in fields))
    except ValueError:
        raise TinynetError(f"{where}: a box is four whole numbers, not {fields}") from None
    if not (0 <= box.left <= box.right < size and 0 <= box.top <= box.bottom < size):
        raise TinynetError(
            f"{where}: a box has 0 ≤ left ≤ right < {size} and 0 ≤ top ≤ bottom < {size}, "
            f"but this one is {' '.join(map(str, box))}"
        )
    return box
