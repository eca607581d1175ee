"""Reads a run's progress and results from its run directory alone."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from tinynet.run import lock, retention, snapshots
from tinynet.run import record as runs
from tinynet.run.log import Record, read_history, scan_history
from tinynet.run.paths import RunPaths

_RATE_RECORDS = 8  # the speed is that of this many last records
DIED = "died"  # its process has gone without recording how it ended


@dataclass(frozen=True)
class Status:
    """``state``: the run's state, or DIED.  ``history``: its records so far.

    ``loss``: the last one displayed (nats); ``val_accuracy``: the last one tested (0 to 1); each is
    None if there is none yet.  ``seconds_left``: of training; None if unknown.
    """

    run: runs.Run
    state: str
    iteration: int
    history: list[Record]
    loss: float | None
    val_accuracy: float | None
    seconds_left: float | None


def status_of(paths: RunPaths) -> Status | None:
    """The status of a run; None if there is none.  Raises TinynetError if its record is damaged."""
    run = runs.load(paths.run_json)
    if run is None:
        return None
    history, _ = scan_history(paths.history)
    state = run.state
    is_here = run.host == socket.gethostname()  # another machine's lock may not be visible here
    if state == runs.RUNNING and is_here and not lock.is_held(paths):
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
    """The last value of ``key`` in a history; None if there is none."""
    values = [record[key] for record in history if record.get(key) is not None]
    return values[-1] if values else None


def seconds_left(
    run: runs.Run, iteration: int, history: list[Record], paths: RunPaths
) -> float | None:
    """Seconds of training left, at the speed of the last records with their tests.

    None if the speed is unknown.  The time since the last record is subtracted.
    """
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


def summary(paths: RunPaths, run: runs.Run) -> dict[str, Any]:
    """A run's results: state, last and best scores, paths of the newest and the best snapshot."""
    result: dict[str, Any] = {
        "run": os.fspath(paths.root),
        "state": run.state,
        "engine": run.engine.get("name", ""),
        "device": run.device,
        "solvers": run.solvers,
        "effective_batch": run.effective_batch,
        "seed": run.seed,
        "iteration": run.iteration,
        "max_iter": run.max_iter,
    }
    history = read_history(paths.history)
    for key in ("train_loss", "val_loss", "val_accuracy", "val_accuracy_top5"):
        value = last(history, key)
        if value is not None:
            result[key] = value
    if run.last_loss is not None:
        displayed = [record["iteration"] for record in history if "train_loss" in record]
        if not displayed or displayed[-1] < run.iteration - 1:  # the last iteration was not
            result["train_loss"] = run.last_loss
    tested = [record for record in history if record.get("val_accuracy") is not None]
    if tested:
        best = max(tested, key=lambda record: record["val_accuracy"])
        result["best_val_accuracy"] = best["val_accuracy"]
        result["best_iteration"] = best["iteration"]
    speeds = [record["images_per_second"] for record in history if "images_per_second" in record]
    if speeds:
        result["images_per_second"] = sorted(speeds)[len(speeds) // 2]
    if history:
        result["seconds"] = history[-1].get("seconds")
    found = snapshots.snapshots(paths.snapshots)
    if found:
        result["snapshot"] = os.fspath(found[-1].model)
        kept = retention.best(history, found)
        if kept is not None:
            result["best_snapshot"] = os.fspath(kept.model)
    return result


def duration(seconds: float) -> str:
    """A time for a person: ``40 s``, ``12 min``, ``5 h 20 min``, ``3 d 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
