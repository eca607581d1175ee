"""pycaffe's ``caffe.Timer``: ``start()``, ``stop()``, then milliseconds as ``ms``."""

from __future__ import annotations

import time

import torch

from tinynet.torchcaffe.context import CONTEXT


class Timer:
    """Measures wall-clock time; in GPU mode start and stop wait for the device."""

    def __init__(self) -> None:
        self._started = self._seconds = 0.0
        self._running = False

    def start(self) -> None:
        if not self._running:
            self._running = True
            self._started = _now()

    def stop(self) -> None:
        if self._running:
            self._seconds = _now() - self._started
            self._running = False

    @property
    def ms(self) -> float:
        """Milliseconds between start and stop; stops the timer if it is running."""
        self.stop()
        return self._seconds * 1e3


def _now() -> float:
    if CONTEXT.gpu:
        torch.cuda.synchronize(CONTEXT.device)
    return time.perf_counter()
