"""Reader: base of what makes a layer's batches, in a thread that is ahead of the solver.

The batches do not depend on timing.  Each carries the position after it, so that a reader's
``position`` is that after the batch last *taken*, however far ahead the thread is.

Source: BasePrefetchingDataLayer, Caffe's src/caffe/layers/base_data_layer.cpp.
"""

from __future__ import annotations

import queue
import threading
from typing import Generic, TypeVar

import numpy as np

from tinynet.torchcaffe.context import CONTEXT

P = TypeVar("P")
# seconds for which the thread waits for room before it checks whether to stop
_POLL = 0.2
# seconds for which ``close`` waits for the thread
_CLOSE = 30.0


class Batch(Generic[P]):
    """``data``: float32 N×C×h×w; ``labels``: float32 (N,); ``after``: the position after it."""

    __slots__ = ("after", "data", "labels")

    def __init__(self, data: np.ndarray, labels: np.ndarray, after: P) -> None:
        self.data = data
        self.labels = labels
        self.after = after


class Reader(Generic[P]):
    """Calls ``load`` repeatedly in a thread, up to ``depth`` batches ahead of ``next_batch``.

    A subclass defines ``shape``, ``load`` and ``move``; a position ``P`` determines all later
    batches.  The state that ``load`` uses may be changed only while the thread does not run.
    """

    def __init__(self, depth: int, position: P) -> None:
        """``position`` is where the first batch begins."""
        self.position = position
        self._depth = max(1, depth)
        self._ready: queue.Queue[Batch[P] | Exception] = queue.Queue()
        self._stop = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    # --- for subclasses

    def shape(self) -> tuple[int, ...]:
        """The shape of the first batch's data."""
        raise NotImplementedError(f"{type(self).__name__}.shape")

    def load(self) -> Batch[P]:
        """Make the next batch."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def move(self, position: P) -> None:
        """Let the next batch that is made begin at ``position``."""
        raise NotImplementedError(f"{type(self).__name__}.move")

    def release(self) -> None:
        """Release what is read from.  It may be called twice."""

    # --- for the layer

    def start(self) -> None:
        """Start the thread; earlier batches are dropped."""
        self._ready = queue.Queue(self._depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(CONTEXT.solver_rank,), name="data reader", daemon=True
        )
        self._thread.start()

    def seek(self, position: P) -> None:
        """Resume from ``position``; what the thread has read ahead is dropped."""
        self._end_thread()
        self.move(position)
        self.position = position
        self.start()

    def next_batch(self) -> Batch[P]:
        """Return the next batch, waiting for the thread if it is behind.

        An error in the thread, such as a damaged record, is raised by the call that is due it.
        """
        item = self._ready.get()
        if isinstance(item, Exception):
            self._ready.put(item)
            raise item
        self.position = item.after
        return item

    def close(self) -> None:
        """Stop the thread, and release what is read from.

        Python may call this whenever it collects garbage, in any thread: also in this reader's own,
        amidst a batch, or in one that holds a lock for which the reader waits.  So the thread
        itself releases what it reads, and is waited for no longer than half a minute.
        """
        self._closed = True
        self._stop.set()
        thread = self._thread
        if thread is None or not thread.is_alive():
            self.release()
        elif thread is not threading.current_thread():
            thread.join(_CLOSE)

    def _end_thread(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, solver_rank: int) -> None:
        CONTEXT.solver_rank = solver_rank  # among several solvers only rank 0's thread logs
        stop = self._stop
        try:
            while not stop.is_set():
                self._put(self.load())
        except Exception as error:  # next_batch raises it
            self._put(error)
        stop.wait()  # also after an error, so that a thread always releases what it read
        if self._closed:
            self.release()

    def _put(self, item: Batch[P] | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue
