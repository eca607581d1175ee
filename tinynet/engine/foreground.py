"""Runs a worker in the foreground: its log is ours, and what is asked of us is asked of it."""

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

    The worker's log goes to our stderr.  Raises TinynetError (UsageError) with the worker's own
    message where it failed.  A signal that ends the worker ends us too.
    """
    passed: set[int] = set()

    def pass_on(number: int) -> None:
        passed.add(number)
        worker.send_signal(number)

    # In a session of its own the worker gets no signal from the terminal, but each of them from
    # us, once, wherever it was sent to: those that were ignored too, since Caffe takes them
    # wherever it runs, also under nohup.
    with (
        start_worker(engine, arguments, log_is_ours=True, own_session=True) as worker,
        signals.taken(_PASSED_ON, pass_on, ignored_too=True),
    ):
        status = worker.follow()
    if status in (0, StoppedEarly.exit_status):
        return status
    if -status in passed:
        signal.raise_signal(-status)
    failed = UsageError if status == UsageError.exit_status else TinynetError
    raise failed(worker.fault())
