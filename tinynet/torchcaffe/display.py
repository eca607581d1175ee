"""A solver's display: its speed, its recent mean loss and its net's outputs (Solver::Step)."""

from __future__ import annotations

import time
from collections import deque

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.scoring import output_line


class Display:
    """The losses of the last ``average_loss`` iterations, and the time since the last display."""

    def __init__(self, average_loss: int) -> None:
        self.losses: deque[torch.Tensor] = deque(maxlen=average_loss)  # oldest first
        self._since: tuple[float, int] | None = None  # time and iteration of the last display

    def begin(self, iteration: int) -> None:
        """Start the clock, once: later calls of ``step`` continue the same measurement."""
        if self._since is None:
            self._since = time.monotonic(), iteration

    def smoothed_loss(self) -> float:
        return float(torch.stack(list(self.losses)).mean())

    def show(self, iteration: int, every: int, net: Net) -> None:
        """Log iteration ``iteration``; ``every`` is the solver's ``display``."""
        assert self._since is not None  # step calls begin first
        now, (then, before) = time.monotonic(), self._since
        seconds = now - then
        rate = (iteration - before) / (seconds or 1.0)
        self._since = now, iteration
        glog.info(
            f"Iteration {iteration} ({glog.number(rate)} iter/s, {glog.number(seconds)}s/"
            f"{every} iters), loss = {glog.number(self.smoothed_loss())}",
        )
        index = 0
        for name, blob, weight in net.output_blobs:
            for value in blob.tensor.reshape(-1).tolist():
                glog.info(output_line("Train", index, name, value, weight))
                index += 1
