"""Reader: base of what makes a layer's batches, in a thread that is ahead of the solver.

The batches do not depend on timing.  Each carries the position after it, so that a reader's
``position`` is that after the batch last *taken*, however far ahead the thread is.

Source: BasePrefetchingDataLayer, Caffe's src/caffe/layers/base_data_layer.cpp.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import os
import queue
import threading
import time
from typing import Any, Generic, TypeVar

import numpy as np

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError

P = TypeVar("P")
# seconds after which a thread that waits looks whether it is to end, or whether the other has ended
_POLL = 0.05
_ABANDON = 1.0  # seconds for which ``abandon`` waits for the thread
_EXIT = 60.0  # the same at the interpreter's end

_running: set[Reader[Any]] = set()  # those that have a thread
os.register_at_fork(after_in_child=_running.clear)


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
        self._thread: threading.Thread | None = None
        # What ends a thread is set without a lock: ``abandon`` may be called in any thread, amidst
        # any code.  The thread runs while it is the one that is wanted.
        self._wanted: object = None
        self._closed = False

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
        self._wanted = wanted = object()
        self._thread = threading.Thread(
            target=self._run, args=(wanted, CONTEXT.solver_rank), name="data reader", daemon=True
        )
        _running.add(self)
        self._thread.start()

    def seek(self, position: P) -> None:
        """Resume from ``position``; what the thread has read ahead is dropped."""
        self._wanted = None
        if self._thread is not None:
            self._thread.join()
        self.move(position)
        self.position = position
        self.start()

    def next_batch(self) -> Batch[P]:
        """Return the next batch, waiting for the thread if it is behind.

        An error in the thread, such as a damaged record, is raised by the call that is due it.
        Raises CaffeError if there is no thread, as in a forked child.
        """
        item = self._next()
        if isinstance(item, Exception):
            # a copy: what is raised refers to the frames that it passes, and so to the net
            self._ready.put(copy.copy(item))
            raise item
        self.position = item.after
        return item

    def _next(self) -> Batch[P] | Exception:
        # without a thread not even what it has read ahead: it may hold the queue's lock for ever
        while self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                return self._ready.get(timeout=1.0)
        raise CaffeError(
            "the thread that reads its data does not run here (a forked process has none of its "
            "parent's); make the net again"
        )

    def close(self) -> None:
        """Stop the thread, and release what is read from."""
        self.abandon()
        if self._thread is None:
            self.release()
        else:
            self._thread.join()

    def abandon(self) -> None:
        """Let the thread end and release what it reads; wait for that, but at most a second.

        Python calls this when it collects the layer, in any thread: in this reader's own, amidst a
        batch that is views of the database, or in one that holds a lock for which the reader waits.
        So it takes no lock, and the thread itself releases what it reads.
        """
        self._closed = True
        self._wanted = None
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            latest = time.monotonic() + _ABANDON
            while thread.is_alive() and time.monotonic() < latest:
                time.sleep(_POLL / 5)

    def _run(self, wanted: object, solver_rank: int) -> None:
        CONTEXT.solver_rank = solver_rank  # among several solvers only rank 0's thread logs
        try:
            while self._wanted is wanted:
                self._put(self.load(), wanted)
        except Exception as error:  # next_batch raises it
            self._put(error, wanted)
        while self._wanted is wanted:  # after an error, so that the thread can release what it read
            time.sleep(_POLL)
        try:
            if self._closed:
                self.release()
        finally:
            _running.discard(self)

    def _put(self, item: Batch[P] | Exception, wanted: object) -> None:
        while self._wanted is wanted:
            try:
                self._ready.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue


@atexit.register
def _end_all() -> None:
    """End all threads: one that the interpreter's end meets in PyTorch aborts the process."""
    latest = time.monotonic() + _EXIT
    for reader in list(_running):
        reader.abandon()
    while _running and time.monotonic() < latest:
        time.sleep(_POLL / 5)
