"""SIGINT and SIGHUP as requests to a solver (src/caffe/util/signal_handler.cpp)."""

from __future__ import annotations

import enum
import signal
from types import FrameType
from typing import Any

from tinynet.errors import UsageError


class SolverAction(enum.Enum):
    """What a solver may be asked to do between two iterations."""

    NONE = "none"
    STOP = "stop"
    SNAPSHOT = "snapshot"


def action_of(effect: str) -> SolverAction:
    """The action that ``-sigint_effect`` or ``-sighup_effect`` names.

    Raises UsageError for any other word.
    """
    try:
        return SolverAction(effect)
    except ValueError:
        known = ", ".join(action.value for action in SolverAction)
        raise UsageError(f"invalid signal effect '{effect}'; known are {known}") from None


class SignalActions:
    """Within its ``with`` block, signals only set a flag, which ``next_action`` reads once.

    For ``solver.set_action_function(actions.next_action)``; use it from the main thread.
    """

    def __init__(self, sigint: SolverAction, sighup: SolverAction) -> None:
        # SIGHUP comes first, as in Caffe
        self._actions = {signal.SIGHUP: sighup, signal.SIGINT: sigint}
        self._received: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SignalActions:
        for number in self._actions:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received.add(number)

    def next_action(self) -> SolverAction:
        for number, action in self._actions.items():
            if number in self._received:
                self._received.discard(number)
                return action
        return SolverAction.NONE
