"""Runs a worker in the foreground: its log is ours, and what is asked of us is asked of it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from tinynet.engine import engines
from tinynet.errors import StoppedEarly, TinynetError, UsageError

_PASSED_ON = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def run(engine: engines.Engine, arguments: Sequence[str]) -> int:
    """Run a worker to its end and return its exit status, 0 or 75 (stopped early).

    The worker's log goes to our stderr.  Raises TinynetError (UsageError) with the worker's own
    message where it failed.  A signal that ends the worker ends us too.
    """
    # In a session of its own the worker gets no signal from the terminal, but each of them from
    # us, once, wherever it was sent to.
    worker = engines.start_worker(
        engine,
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert worker.stdout is not None
    with worker, _passing_signals_to(worker) as passed:
        message = None
        for line in worker.stdout:
            event = json.loads(line)
            if event["event"] == "error":
                message = event["message"]
        status = worker.wait()
    if status in (0, StoppedEarly.exit_status):
        return status
    if -status in passed:
        signal.raise_signal(-status)
    failed = UsageError if status == UsageError.exit_status else TinynetError
    raise failed(engines.explain_failure(engine, status, [], message))


@contextlib.contextmanager
def _passing_signals_to(worker: subprocess.Popen[bytes]) -> Iterator[set[int]]:
    """Yields the signals that came, as they come."""
    passed: set[int] = set()

    def pass_on(number: int, frame: Any) -> None:
        passed.add(number)
        worker.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
