"""The background reader of a Data layer: batches ahead of the solver, in the records' order.

The reader walks the LMDB in key order and starts over at its end.  It works ahead of the solver by
``data_param.prefetch`` batches; which batch comes when does not depend on timing, since the order
of the records and the transformer's own random stream decide it.

Every batch carries the ``Position`` behind it, so that ``DataReader.position`` is that of the batch
last *taken*, however far ahead the thread is, and ``seek`` goes on from there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinynet.data.store import DatumReader, Store, open_store
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.data_transformer import DataTransformer
from tinynet.torchcaffe.errors import check

# how long the reader waits for room before it looks whether it should stop, in seconds
_POLL = 0.2
# of records, after which the pages that they were read from are given back
_RESIDENT_BYTES = 128 << 20


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


def _endless(store: Store, start: int) -> Iterator[tuple[int, memoryview]]:
    """(number, value) of the records from number ``start`` on, round and round."""
    read = 0
    while True:
        for number, value in enumerate(store.mapped_values(start), start):
            yield number, value
            read += len(value)
            if read >= _RESIDENT_BYTES:
                store.give_back_pages()
                read = 0
        glog.info("data_layer.cpp", "Restarting data prefetching from start.")
        start = 0


class DataReader:
    """Yields the batches of the LMDB at ``source`` through ``transformer``, for ever.

    Raises TinynetError (from ``open_store``) if there is no LMDB, and what the thread met, a torn
    record for example, at the ``next_batch`` that needs it.
    """

    def __init__(
        self,
        source: str | Path,
        batch_size: int,
        transformer: DataTransformer,
        prefetch: int,
        force_color: bool,
    ) -> None:
        self._store = open_store(source)
        self._batch_size = batch_size
        self._transformer = transformer
        self._datums = DatumReader(force_color)
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(max(1, prefetch))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        _, first = self._store.first()
        self.picture_shape: tuple[int, ...] = self._datums.read(first)[0].shape
        self._position = self._after(0)

    @property
    def records(self) -> int:
        """Number of records in the database."""
        return len(self._store)

    @property
    def position(self) -> Position:
        """Where the batch last taken ends (not where the thread is, which works ahead)."""
        return self._position

    def seek(self, position: Position) -> None:
        """Go on from ``position``; what the thread has read ahead is dropped.

        Raises CaffeError where there is no such record, or no such random stream.
        """
        stream = self._transformer.stream
        check(
            0 <= position.record < self.records and (position.stream is None) == (stream is None),
            f"a position in the data is a record from 0 to {self.records - 1}, and a random state "
            f"where the layer mirrors or crops at random; this one is record {position.record}, "
            f"{'without' if position.stream is None else 'with'} one",
        )
        self._halt()
        if stream is not None and position.stream is not None:
            stream.set_state(*position.stream)
        self._position = position
        self._queue = queue.Queue(self._queue.maxsize)
        self._stop = threading.Event()
        self.start()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="data reader", daemon=True)
        self._thread.start()

    def next_batch(self) -> Batch:
        """The next batch; waits for the thread where it is behind."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._queue.put(item)
            raise item
        self._position = item.after
        return item

    def close(self) -> None:
        """Stop the thread and close the database."""
        self._halt()
        self._store.close()

    def _halt(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _after(self, record: int) -> Position:
        stream = self._transformer.stream
        return Position(record, None if stream is None else stream.get_state())

    def _run(self) -> None:
        try:
            records = _endless(self._store, self._position.record)
            while not self._stop.is_set():
                self._put(self._load(records))
        except Exception as error:  # raised again where the batch is needed
            self._put(error)

    def _put(self, item: Batch | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue

    def _load(self, records: Iterator[tuple[int, memoryview]]) -> Batch:
        taken = [next(records) for _ in range(self._batch_size)]
        decoded = [self._datums.read(value) for _, value in taken]
        pictures: Sequence[np.ndarray] = [pixels for pixels, _ in decoded]
        labels = np.array([label for _, label in decoded], dtype=np.float32)
        data = self._transformer.transform(pictures)
        return Batch(data, labels, self._after((taken[-1][0] + 1) % self.records))
