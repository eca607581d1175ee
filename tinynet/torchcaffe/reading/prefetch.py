"""A thread that makes batches ahead of the solver, in an order that no timing decides."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Generic, TypeVar

from tinynet.torchcaffe.context import CONTEXT

T = TypeVar("T")
# how long the thread waits for room before it looks whether it should stop, in seconds
_POLL = 0.2


class Prefetch(Generic[T]):
    """Calls ``load`` again and again, ``depth`` results ahead of ``take``.

    ``load`` runs in the thread alone: its state may be changed only between ``stop`` and ``start``.
    What it raises, ``take`` raises where that result is due, and the thread ends.
    """

    def __init__(self, load: Callable[[], T], depth: int) -> None:
        self._load = load
        self._depth = max(1, depth)
        self._ready: queue.Queue[T | Exception] = queue.Queue(self._depth)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin anew; nothing that was made before is left."""
        self._ready = queue.Queue(self._depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(CONTEXT.solver_rank,), name="data reader", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if there is one, and wait for its end."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def take(self) -> T:
        """The next result; waits for the thread where it is behind."""
        item = self._ready.get()
        if isinstance(item, Exception):
            self._ready.put(item)
            raise item
        return item

    def _run(self, solver_rank: int) -> None:
        CONTEXT.solver_rank = solver_rank  # of several solvers one thread writes the log
        try:
            while not self._stop.is_set():
                self._put(self._load())
        except Exception as error:  # raised again where the batch is needed
            self._put(error)

    def _put(self, item: T | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue
