"""Catches signals that a parent passes on, and holds them back while its child starts."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

# ask a training to stop after its iteration; from a terminal, or from a batch system.  USR1 warns
# before a time limit, and so does Grid Engine's USR2, which goes to every process of a task.
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *WARNINGS)


@contextlib.contextmanager
def caught(
    numbers: Iterable[int], action: Callable[[int], None], ignored_too: bool = False
) -> Iterator[None]:
    """Within the block, each of these signals calls ``action`` with its number and does no more.

    Signals that were ignored before (by nohup, or in a shell's background) stay ignored, unless
    ``ignored_too``.  Does nothing outside the main thread, the only one that can catch signals.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        action(number)

    before: dict[int, Any] = {}
    for number in numbers:
        if ignored_too or signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within the block, signals that ask to stop are blocked; a child inherits that.

    Whoever stops a batch job sends them to all its processes, perhaps while a worker's interpreter
    starts, which they would end.  So the worker starts with them blocked, and unblocks them when it
    knows what to do with them (``worker/channel.py``).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
