"""A thread that makes batches ahead of the solver, in an order that does not depend on timing."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Generic, TypeVar

from tinynet.torchcaffe.context import CONTEXT

T = TypeVar("T")
# seconds for which the thread waits for room before it checks whether to stop
_POLL = 0.2


class Prefetch(Generic[T]):
    """Calls ``load`` repeatedly in a thread, up to ``depth`` results ahead of ``take``.

    The state that ``load`` uses may be changed only between ``stop`` and ``start``.  If it raises
    an error, the thread ends, and ``take`` raises the error when that result is due.
    """

    def __init__(self, load: Callable[[], T], depth: int) -> None:
        self._load = load
        self._depth = max(1, depth)
        self._ready: queue.Queue[T | Exception] = queue.Queue(self._depth)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; earlier results are dropped."""
        self._ready = queue.Queue(self._depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(CONTEXT.solver_rank,), name="data reader", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if there is one, and wait for it."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def take(self) -> T:
        """Return the next result, waiting for the thread if it is behind."""
        item = self._ready.get()
        if isinstance(item, Exception):
            self._ready.put(item)
            raise item
        return item

    def _run(self, solver_rank: int) -> None:
        CONTEXT.solver_rank = solver_rank  # among several solvers only rank 0's thread logs
        try:
            while not self._stop.is_set():
                self._put(self._load())
        except Exception as error:  # take raises it
            self._put(error)

    def _put(self, item: T | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue
