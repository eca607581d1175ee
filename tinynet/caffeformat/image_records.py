"""Reads and checks the images of one LMDB for an evaluation: all of them, or a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tinynet.caffeformat.datum import DatumReader
from tinynet.caffeformat.lmdb import open_store
from tinynet.errors import TinynetError

Shape = tuple[int, int, int]  # channels, height, width
_RESIDENT = 4096  # records whose pages may stay in memory: 50 MB of Tiny ImageNet


def read_images(
    source: Path, shape: Shape, classes: int | None, chosen: Iterable[int] | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (uint8 pixels C×H×W, label) in key order; every label is -1 if ``classes`` is None.

    ``chosen``: the numbers of the records to read; None: all.  The pixels are a view of the LMDB's
    map, valid until the next image is read.  Raises TinynetError, with the record's number, if the
    pixels are not uint8 of ``shape``, or the label is not one of the ``classes``.
    """
    reader = DatumReader()
    wanted = None if chosen is None else frozenset(chosen)
    with open_store(source) as store:
        for number, value in enumerate(store.mapped_values()):
            if wanted is not None and number not in wanted:
                continue
            pixels, label = reader.read(value)
            if pixels.dtype != np.uint8 or pixels.shape != shape:
                raise TinynetError(
                    f"{source}: record {number} is {pixels.dtype} "
                    f"{'x'.join(map(str, pixels.shape))}, not uint8 "
                    f"{'x'.join(map(str, shape))}; convert the data set again"
                )
            if classes is not None and not 0 <= label < classes:
                raise TinynetError(
                    f"{source}: record {number} has the label {label}, but there are {classes} "
                    "classes; convert the data set again"
                )
            yield pixels, label if classes is not None else -1


def read_labels(source: Path) -> list[int]:
    """Read the label of every record, in key order, without copying the pixels."""
    reader = DatumReader()
    labels = []
    with open_store(source) as store:
        for number, value in enumerate(store.mapped_values(), 1):
            labels.append(reader.read(value)[1])
            if number % _RESIDENT == 0:
                store.give_back_pages()
    return labels
