"""How far a run is while it trains, from its run directory alone."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from tinynet import files
from tinynet.run import record as runs
from tinynet.run.log import Record, scan_history
from tinynet.run.paths import RunPaths

_RATE_RECORDS = 8  # the last so many say how fast a run is now
DIED = "died"  # its process has gone without a word


@dataclass(frozen=True)
class Status:
    """``state``: a run's state, or DIED.  ``history``: what has been written of it so far.

    ``loss``: the last displayed (nats), ``val_accuracy``: the last tested (0 to 1), None where
    there is none yet; ``seconds_left``: of training, None where it cannot be told.
    """

    run: runs.Run
    state: str
    iteration: int
    history: list[Record]
    loss: float | None
    val_accuracy: float | None
    seconds_left: float | None


def status_of(paths: RunPaths) -> Status | None:
    """Of a run directory, None where there is none.  Raises TinynetError where it is damaged."""
    run = runs.load(paths.run_json)
    if run is None:
        return None
    history, _ = scan_history(paths.history)
    state = run.state
    is_here = run.host == socket.gethostname()  # a lock of another machine need not be seen
    if state == runs.RUNNING and is_here and not files.is_locked(paths.lock):
        state = DIED
    iteration = run.iteration
    if run.state == runs.RUNNING and history:
        iteration = max(iteration, int(history[-1]["iteration"]))
    try:
        left = seconds_left(run, iteration, history, paths)
    except FileNotFoundError:
        left = None
    loss = last(history, "train_loss")
    return Status(run, state, iteration, history, loss, last(history, "val_accuracy"), left)


def last(history: list[Record], key: str) -> float | None:
    """The last value that a history has of something."""
    values = [record[key] for record in history if record.get(key) is not None]
    return values[-1] if values else None


def seconds_left(
    run: runs.Run, iteration: int, history: list[Record], paths: RunPaths
) -> float | None:
    """At the speed of the last records, tests included, less what has passed since the last."""
    timed = [record for record in history if "seconds" in record][-_RATE_RECORDS:]
    if run.state == runs.FINISHED:
        return 0.0
    if len(timed) < 2 or timed[-1]["iteration"] <= timed[0]["iteration"]:
        return None
    rate = (timed[-1]["seconds"] - timed[0]["seconds"]) / (
        timed[-1]["iteration"] - timed[0]["iteration"]
    )
    left = rate * (run.max_iter - iteration)
    if run.state == runs.RUNNING:
        left -= max(0.0, time.time() - paths.history.stat().st_mtime)
    return max(0.0, left)
