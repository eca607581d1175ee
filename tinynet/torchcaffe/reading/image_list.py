"""The images of a list file, in order or in Caffe's shuffled order, for ImageData.

Source: Caffe's src/caffe/layers/image_data_layer.cpp.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from tinynet.caffeformat import image_decoding, image_list, schema
from tinynet.errors import TinynetError
from tinynet.torchcaffe.errors import CaffeError, as_caffe_errors, check, read_file
from tinynet.torchcaffe.random_numbers import random
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading.data_transformer import DataTransformer
from tinynet.torchcaffe.reading.reader import Batch, Reader


class Position(NamedTuple):
    """A position between two batches, which determines all later batches."""

    line: int  # index of the next image in the current order
    seed: int | None  # of the stream from which the orders come; None for the file's order
    rounds: int  # how often the lines have been shuffled
    stream: tuple[np.ndarray, int] | None  # state of the transformer's Mt19937, where it has one


def read_list(source: str) -> list[tuple[str, int]]:
    """Read the names and labels in a list file.

    Raises CaffeError if it cannot be read or is empty, and for a label that is not an integer
    (Caffe takes 0).
    """
    with as_caffe_errors():
        found = image_list.entries(read_file(source), source)
    check(len(found) > 0, f"{source} is empty; it must list one image at least")
    return [(os.fsdecode(name), label) for name, label in found]


def read_image(path: str, colour: str, height: int = 0, width: int = 0) -> np.ndarray:
    """Read the image in a file, uint8 C×H×W, resized if a height and a width are given.

    ``colour`` is that of ``image_decoding.decode``.  Raises CaffeError if it cannot be read.
    """
    data = read_file(path)
    try:
        pixels = image_decoding.decode(data, colour)
    except TinynetError as error:
        raise CaffeError(f"could not load the image {path}: {error}") from None
    return image_decoding.resize(pixels, height, width) if height and width else pixels


class ImageList(Reader[Position]):
    """Makes the batches of a list file, round and round."""

    def __init__(
        self,
        param: schema.ImageDataParameter,
        transformer: DataTransformer,
        shuffle_seed: int | None,
        skip: int,
        prefetch: int,
    ) -> None:
        """``skip`` is the number of lines to skip in the first round.

        ``shuffle_seed`` seeds the stream from which each round's order comes; None keeps the file's
        order.  Raises CaffeError as ``read_list`` does, and if ``skip`` leaves no line.
        """
        self._param = param
        self._transformer = transformer
        self._lines = read_list(self._param.source)
        check(
            skip < len(self._lines),
            f"{len(self._lines)} images are not enough to skip {skip}, as rand_skip demands",
        )
        rounds = 0 if shuffle_seed is None else 1
        first = Position(skip, shuffle_seed, rounds, self._stream_state())
        super().__init__(prefetch, first)
        self.move(first)

    def __len__(self) -> int:
        return len(self._lines)

    def move(self, position: Position) -> None:
        self._seed = position.seed
        self._order = list(range(len(self._lines)))
        self._rounds = 0
        self._shuffles = Mt19937(self._seed or 0)
        while self._rounds < position.rounds:
            self._shuffle()
        self._line = position.line
        stream = self._transformer.stream
        if stream is not None and position.stream is not None:
            stream.set_state(*position.stream)

    def shape(self) -> tuple[int, ...]:
        image = self._image(self._line)
        return (self._param.batch_size, *self._transformer.output_shape(image.shape))

    def load(self) -> Batch[Position]:
        images, labels = [], []
        for _ in range(self._param.batch_size):
            images.append(self._image(self._line))
            labels.append(self._lines[self._order[self._line]][1])
            self._line += 1
            if self._line == len(self._lines):
                self._line = 0
                if self._seed is not None:
                    self._shuffle()
        data = self._transformer.transform(images)
        after = Position(self._line, self._seed, self._rounds, self._stream_state())
        return Batch(data, np.array(labels, np.float32), after)

    def _image(self, line: int) -> np.ndarray:
        p = self._param
        name, _ = self._lines[self._order[line]]
        colour = "color" if p.is_color else "gray"
        return read_image(p.root_folder + name, colour, p.new_height, p.new_width)

    def _shuffle(self) -> None:
        random.shuffle(self._shuffles, self._order)
        self._rounds += 1

    def _stream_state(self) -> tuple[np.ndarray, int] | None:
        stream = self._transformer.stream
        return None if stream is None else stream.get_state()
