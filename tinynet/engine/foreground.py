"""Runs a worker in the foreground: it logs to our stderr, and our signals are passed on to it."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from tinynet.engine import signals
from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker
from tinynet.errors import StoppedEarly, TinynetError, UsageError

_PASSED_ON = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def run(engine: Engine, arguments: Sequence[str]) -> int:
    """Run a worker to its end and return its exit status, 0 or 75 (stopped early).

    Raises TinynetError or UsageError with the worker's own message if it fails.  A signal that ends
    the worker ends this process too.
    """
    passed: set[int] = set()

    def pass_on(number: int) -> None:
        passed.add(number)
        worker.send_signal(number)

    # In a session of its own the worker gets no signal from the terminal, so each signal reaches it
    # exactly once, from us.  That includes signals that were ignored: Caffe too sets its own
    # actions for them, even under nohup.
    with (
        start_worker(engine, arguments, inherit_stderr=True, own_session=True) as worker,
        signals.caught(_PASSED_ON, pass_on, ignored_too=True),
    ):
        status = worker.follow()
    if status in (0, StoppedEarly.exit_status):
        return status
    if -status in passed:
        signal.raise_signal(-status)
    failed = UsageError if status == UsageError.exit_status else TinynetError
    raise failed(worker.fault())
