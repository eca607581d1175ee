"""The background reader of a Data layer: batches ahead of the solver, in the records' order.

The reader walks the LMDB in key order and starts over at its end.  It works ahead of the solver by
``data_param.prefetch`` batches; which batch comes when does not depend on timing, since the order
of the records and the transformer's own random stream decide it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinynet.data.store import Store, decode_datum, open_store
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.data_transformer import DataTransformer

# how long the reader waits for room before it looks whether it should stop, in seconds
_POLL = 0.2


class Batch:
    """``data``: float32 N×C×h×w; ``labels``: float32 (N,)."""

    __slots__ = ("data", "labels")

    def __init__(self, data: np.ndarray, labels: np.ndarray) -> None:
        self.data = data
        self.labels = labels


def _endless(store: Store) -> Iterator[bytes]:
    while True:
        for _, value in store.records():
            yield value
        glog.info("data_layer.cpp", "Restarting data prefetching from start.")


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
        self._force_color = force_color
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(max(1, prefetch))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        _, first = self._store.first()
        self.picture_shape: tuple[int, ...] = decode_datum(first, force_color)[0].shape

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="data reader", daemon=True)
        self._thread.start()

    def next_batch(self) -> Batch:
        """The next batch; waits for the thread where it is behind."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._queue.put(item)
            raise item
        return item

    def close(self) -> None:
        """Stop the thread and close the database."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._store.close()

    def _run(self) -> None:
        try:
            records = _endless(self._store)
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

    def _load(self, records: Iterator[bytes]) -> Batch:
        decoded = [decode_datum(next(records), self._force_color) for _ in range(self._batch_size)]
        pictures: Sequence[np.ndarray] = [pixels for pixels, _ in decoded]
        labels = np.array([label for _, label in decoded], dtype=np.float32)
        return Batch(self._transformer.transform(pictures), labels)
