"""Signals that a parent takes in order to pass them on, instead of being ended by them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

# what asks a training to stop after its iteration: a terminal, a batch system and its warning
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@contextlib.contextmanager
def taken(
    numbers: Iterable[int], take: Callable[[int], None], ignored_too: bool = False
) -> Iterator[None]:
    """Within the block ``take`` gets each of these signals, and they do nothing else.

    What was ignored before (by nohup, by a shell's background) stays ignored, unless
    ``ignored_too``.  Outside the main thread, which alone gets signals, this does nothing.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        take(number)

    before: dict[int, Any] = {}
    for number in numbers:
        if ignored_too or signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
