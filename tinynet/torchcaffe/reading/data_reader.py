"""The background reader of a Data layer: it reads batches ahead of the solver, in key order.

The reader goes through the LMDB in key order and starts over at its end.  It is ahead of the solver
by ``data_param.prefetch`` batches, which the order of the records and the transformer's own random
stream determine.

The images are read from LMDB's memory map.  The system's cache thus holds as much of the data set
as memory allows, once for all trainings on the machine, and the rest is read from the disk in the
order in which it is stored.  A copy in each process would take 1.2 GB more per training and save
3 µs of CPU time per image, where a training step takes milliseconds (data/results/bench.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from tinynet.caffeformat.datum import DatumReader
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import as_caffe_errors, check
from tinynet.torchcaffe.reading.data_transformer import DataTransformer
from tinynet.torchcaffe.reading.reader import Batch, Reader
from tinynet.torchcaffe.reading.shard import Shard

# bytes of records after which the pages that they were read from are released
_RESIDENT_BYTES = 128 << 20
_EVERY_RECORD = Shard(0, 1)


class Records(Protocol):
    """The records in the order of their keys: an LMDB's Store or a LevelDB's."""

    def __len__(self) -> int: ...

    def first(self) -> tuple[bytes, bytes]:
        """The first key and value."""

    def mapped_values(self, start: int = 0) -> Iterator[memoryview]:
        """The values from record number ``start`` on."""

    def give_back_pages(self) -> None:
        """Release what was read so far from this process's resident memory."""

    def close(self) -> None: ...


class Position(NamedTuple):
    """A reader's position between two batches, which determines all later batches."""

    record: int  # number, in key order, of the next record
    stream: tuple[np.ndarray, int] | None  # state of the transformer's Mt19937, where it has one


class Walk:
    """Goes through every ``step``-th record of a store from number ``record`` on, round and round.

    After the last record ``record`` is beyond the end until the next one is asked for.
    """

    def __init__(self, store: Records, record: int, step: int) -> None:
        self.record = record  # the next one
        self._step = step
        self._store = store
        self._records = len(store)
        self._values: Iterator[memoryview] | None = None
        self._read = 0  # bytes since pages were last released

    def upcoming(self, count: int) -> np.ndarray:
        """The numbers of the next records."""
        return (self.record + self._step * np.arange(count)) % self._records

    def skip(self, count: int) -> None:
        """Skip the next records without reading them."""
        self._values = None
        for _ in range(count):
            self._start_over_at_end()
            self.record += self._step

    def take(self, count: int) -> list[memoryview]:
        """The values of the next records, as views of the memory map."""
        taken: list[memoryview] = []
        while len(taken) < count:
            self._start_over_at_end()
            if self._values is None:
                self._values = self._store.mapped_values(self.record)
            left = -(-(self._records - self.record) // self._step)
            passed = min(count - len(taken), left) * self._step
            # reads all of these, and keeps the first of every step
            taken += itertools.islice(self._values, 0, passed, self._step)
            self.record += passed
        self._read += sum(map(len, taken))
        if self._read >= _RESIDENT_BYTES:
            self._store.give_back_pages()
            self._read = 0
        return taken

    def _start_over_at_end(self) -> None:
        while self.record >= self._records:
            glog.info("Restarting data prefetching from start.")
            self.record -= self._records
            self._values = None


class DataReader(Reader[Position]):
    """Makes the batches of ``store``, transformed by ``transformer``, without end.

    Raises CaffeError if there is no record.
    """

    def __init__(
        self,
        store: Records,
        batch_size: int,
        transformer: DataTransformer,
        prefetch: int,
        colour: str,
        shard: Shard = _EVERY_RECORD,
    ) -> None:
        """``colour`` says how to decode encoded Datums, ``shard`` which records to read."""
        self._store = store
        self.batch_size = batch_size
        self.transformer = transformer
        self._datums = DatumReader(colour)
        self._shard = shard
        self.walk = Walk(self._store, shard.first, shard.step)
        with as_caffe_errors():
            _, first = self._store.first()
            image, _ = self._datums.read(first)
        self.image_shape: tuple[int, ...] = image.shape
        self.image_type = image.dtype
        super().__init__(prefetch, self._after(shard.first % len(store)))

    @property
    def records(self) -> int:
        """The number of records in the database."""
        return len(self._store)

    def shape(self) -> tuple[int, ...]:
        return (self.batch_size, *self.transformer.output_shape(self.image_shape))

    def seek(self, position: Position) -> None:
        """Resume from ``position``; what the thread has read ahead is dropped.

        Raises CaffeError for a record that does not exist, and if the position has a random state
        but the layer draws nothing, or the other way round.
        """
        stream = self.transformer.stream
        check(
            0 <= position.record < self.records and (position.stream is None) == (stream is None),
            f"a position in the data is a record from 0 to {self.records - 1}, and a random state "
            f"if the layer mirrors or crops at random; this one is record {position.record} "
            f"{'without' if position.stream is None else 'with'} a random state",
        )
        super().seek(position)

    def move(self, position: Position) -> None:
        stream = self.transformer.stream
        if stream is not None and position.stream is not None:
            stream.set_state(*position.stream)
        self.walk = Walk(self._store, position.record, self._shard.step)

    def release(self) -> None:
        """Close the database."""
        self.walk.skip(0)  # drops the views of the map
        self._store.close()

    def _after(self, record: int) -> Position:
        stream = self.transformer.stream
        return Position(record, None if stream is None else stream.get_state())

    def load(self) -> Batch[Position]:
        """Read and transform the batch of the next records."""
        records = self.walk.upcoming(self.batch_size)
        images, labels = self.read()
        data = self.transformer.transform(images)
        return Batch(data, labels.astype(np.float32), self.behind(records))

    def read(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Read the images, C×H×W, and labels of the next records."""
        with as_caffe_errors():
            decoded = [self._datums.read(value) for value in self.walk.take(self.batch_size)]
        return [pixels for pixels, _ in decoded], np.array([label for _, label in decoded])

    def behind(self, records: np.ndarray) -> Position:
        """The position after these records."""
        return self._after(int(records[-1] + self._shard.step) % self.records)
