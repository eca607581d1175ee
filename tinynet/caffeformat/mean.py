"""The mean image and the mean of each channel, as Caffe's ``compute_image_mean`` makes them.

It sums in float32, in key order.  A sum of many thousand pixels is rounded at every step, so only
the same order and precision give the same digits (``tools/compute_image_mean.cpp``).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from tinynet.caffeformat import binary, blob_proto, schema
from tinynet.caffeformat.datum import DatumReader, decode_datum
from tinynet.caffeformat.leveldb import LevelStore
from tinynet.caffeformat.lmdb import Store
from tinynet.errors import TinynetError


class MeanSum:
    """Adds up images of one shape C×H×W."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._sum = np.zeros(shape, np.float32)
        self.count = 0

    def add(self, pixels: np.ndarray) -> None:
        """Add one image (C×H×W); the order of the calls matters in the last digits."""
        # adding uint8 to float32 directly is several times slower: numpy converts it in pieces
        self._sum += pixels.astype(np.float32)
        self.count += 1

    def image(self) -> np.ndarray:
        """The mean image, float32 C×H×W, in the range of the pixels."""
        return self._sum / np.float32(self.count)


def mean_of_database(store: Store | LevelStore, log: Callable[[str], None]) -> np.ndarray:
    """The mean image (C×H×W) of a database of Datums; encoded images keep their own channels.

    Raises TinynetError if a record is not a Datum or holds another number of values than the first,
    or if there is no record.
    """
    first = decode_datum(store.first()[1])[0]
    total = MeanSum((first.shape[0], first.shape[1], first.shape[2]))
    log("Starting iteration")
    reader = DatumReader()
    for value in store.mapped_values():
        pixels, _ = reader.read(value)
        if pixels.size != first.size:
            raise TinynetError(
                f"{store.path}: Incorrect data field size {pixels.size} of record {total.count}; "
                f"the first has {first.size}"
            )
        total.add(pixels.reshape(first.shape))
        if total.count % 10000 == 0:
            log(f"Processed {total.count} files.")
    if total.count % 10000:
        log(f"Processed {total.count} files.")
    return total.image()


def channel_means(image: np.ndarray) -> tuple[float, ...]:
    """The mean of each channel of a mean image (C×H×W), as ``compute_image_mean`` prints it."""
    channels = image.reshape(len(image), -1)
    # accumulate adds one after the other, while sum would add pairwise
    totals = np.add.accumulate(channels, axis=1, dtype=np.float32)[:, -1]
    return tuple(float(total / np.float32(channels.shape[1])) for total in totals)


def write_mean(image: np.ndarray, path: Path) -> None:
    """Write a mean image (C×H×W) as the BlobProto that ``mean_file`` reads: 1×C×H×W."""
    blob = schema.BlobProto(num=1)
    blob.channels, blob.height, blob.width = image.shape
    blob.data.extend(image.astype(np.float32).ravel().tolist())
    binary.write(path, blob)


def read_mean(path: Path) -> np.ndarray:
    """Read a mean image as float32 C×H×W.  Raises TinynetError if the file is not one."""
    data = blob_proto.decode(binary.read(path, schema.BlobProto), str(path))
    shape = data.shape[-3:]
    if len(shape) != 3 or data.size != prod(shape):
        raise TinynetError(f"{path}: values of shape {data.shape} are not an image")
    return data.reshape(shape)
