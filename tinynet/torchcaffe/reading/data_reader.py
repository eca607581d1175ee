"""The background reader of a Data layer: batches ahead of the solver, in the records' order.

The reader walks the LMDB in key order and starts over at its end.  It works ahead of the solver by
``data_param.prefetch`` batches; which batch comes when does not depend on timing, since the order
of the records and the transformer's own random stream decide it.

The images are read where LMDB's map shows them.  So the set is kept in the system's cache as far
as there is memory for it, once for all trainings on the machine, and what does not fit comes from
the disk, in the order in which it lies there.  A copy of the process's own would take 1.2 GB more
for each training and save 3 µs of CPU time an image, where a training step takes milliseconds
(data/results/bench.md).

Every batch carries the ``Position`` behind it, so that ``DataReader.position`` is that of the batch
last *taken*, however far ahead the thread is, and ``seek`` resumes from there.
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
from tinynet.torchcaffe.reading.prefetch import Prefetch
from tinynet.torchcaffe.reading.shard import Shard

# of records, after which the pages that they were read from are given back
_RESIDENT_BYTES = 128 << 20
_EVERY_RECORD = Shard(0, 1)


class Records(Protocol):
    """What holds the records, in the order of their keys: an LMDB's Store, or a LevelDB's."""

    def __len__(self) -> int: ...

    def first(self) -> tuple[bytes, bytes]:
        """The first key and value."""

    def mapped_values(self, start: int = 0) -> Iterator[memoryview]:
        """The values from record number ``start`` on."""

    def give_back_pages(self) -> None:
        """Take what was read so far out of this process's resident memory."""

    def close(self) -> None: ...


class Position(NamedTuple):
    """Where a reader stands between two batches: what decides every batch that is still to come."""

    record: int  # number, in key order, of the next record
    stream: tuple[np.ndarray, int] | None  # state of the transformer's Mt19937, where it has one


class Batch:
    """``data``: float32 N×C×h×w; ``labels``: float32 (N,); ``after``: the position behind it."""

    __slots__ = ("after", "data", "labels")

    def __init__(self, data: np.ndarray, labels: np.ndarray, after: Position) -> None:
        self.data = data
        self.labels = labels
        self.after = after


class Walk:
    """Goes through every ``step``-th record of a store from number ``record`` on, round and round.

    At the end of the store ``record`` is beyond it, until a record is asked for.
    """

    def __init__(self, store: Records, record: int, step: int) -> None:
        self.record = record  # the next one
        self._step = step
        self._store = store
        self._records = len(store)
        self._values: Iterator[memoryview] | None = None
        self._read = 0  # bytes, since pages were given back

    def upcoming(self, count: int) -> np.ndarray:
        """The numbers of the next records."""
        return (self.record + self._step * np.arange(count)) % self._records

    def skip(self, count: int) -> None:
        """Go past the next records without reading them."""
        self._values = None
        for _ in range(count):
            self._start_over_at_end()
            self.record += self._step

    def take(self, count: int) -> list[memoryview]:
        """The values of the next records, where the map has them."""
        taken: list[memoryview] = []
        while len(taken) < count:
            self._start_over_at_end()
            if self._values is None:
                self._values = self._store.mapped_values(self.record)
            left = -(-(self._records - self.record) // self._step)
            passed = min(count - len(taken), left) * self._step
            # goes past all of these, and keeps the first of every step
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


class DataReader:
    """Yields the batches of ``store`` through ``transformer``, for ever; ``close`` closes it.

    Raises CaffeError where there is no record, and for what the thread met, a torn record for
    example, at the ``next_batch`` that needs it.
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
        """``colour``: how encoded Datums are decoded; ``shard``: which records are read."""
        self._store = store
        self.batch_size = batch_size
        self.transformer = transformer
        self._datums = DatumReader(colour)
        self._shard = shard
        self.walk = Walk(self._store, shard.first, shard.step)
        self._ahead = Prefetch(self.load, prefetch)
        with as_caffe_errors():
            _, first = self._store.first()
            image, _ = self._datums.read(first)
        self.image_shape: tuple[int, ...] = image.shape
        self._position = self._after(shard.first % len(store))
        self.image_type = image.dtype

    @property
    def records(self) -> int:
        """Number of records in the database."""
        return len(self._store)

    @property
    def position(self) -> Position:
        """Where the batch last taken ends (not where the thread is, which works ahead)."""
        return self._position

    def seek(self, position: Position) -> None:
        """Resume from ``position``; what the thread has read ahead is dropped.

        Raises CaffeError where there is no such record, or no such random stream.
        """
        stream = self.transformer.stream
        check(
            0 <= position.record < self.records and (position.stream is None) == (stream is None),
            f"a position in the data is a record from 0 to {self.records - 1}, and a random state "
            f"where the layer mirrors or crops at random; this one is record {position.record}, "
            f"{'without' if position.stream is None else 'with'} one",
        )
        self._ahead.stop()
        if stream is not None and position.stream is not None:
            stream.set_state(*position.stream)
        self._position = position
        self.walk = Walk(self._store, position.record, self._shard.step)
        self.start()

    def start(self) -> None:
        self._ahead.start()

    def next_batch(self) -> Batch:
        """The next batch; waits for the thread where it is behind."""
        batch = self._ahead.take()
        self._position = batch.after
        return batch

    def close(self) -> None:
        """Stop the thread and close the database."""
        self._ahead.stop()
        self.walk.skip(0)  # lets go of the store
        self._store.close()

    def _after(self, record: int) -> Position:
        stream = self.transformer.stream
        return Position(record, None if stream is None else stream.get_state())

    def load(self) -> Batch:
        """The batch of the next records."""
        records = self.walk.upcoming(self.batch_size)
        images, labels = self.read()
        data = self.transformer.transform(images)
        return Batch(data, labels.astype(np.float32), self.behind(records))

    def read(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Images C×H×W and labels of the next records."""
        with as_caffe_errors():
            decoded = [self._datums.read(value) for value in self.walk.take(self.batch_size)]
        return [pixels for pixels, _ in decoded], np.array([label for _, label in decoded])

    def behind(self, records: np.ndarray) -> Position:
        """Where the reader stands after these records."""
        return self._after(int(records[-1] + self._shard.step) % self.records)
