"""One worker, or one for each of several solvers, from start to end.

Events, signals, log, history, divergence.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinynet import files
from tinynet.caffeformat.glog import OWN, glog_line
from tinynet.engine import signals
from tinynet.engine.discovery import Engine
from tinynet.engine.ranks import RankProcesses
from tinynet.errors import StoppedEarly
from tinynet.run import record as runs
from tinynet.run.log import LogParser, Record, append_history, without_year
from tinynet.run.paths import RunPaths
from tinynet.run.progress import Progress

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@dataclass
class Outcome:
    """How a session ended; ``message`` says why, where it is not finished."""

    state: str
    iteration: int
    message: str = ""
    last_good: int | None = None  # last iteration displayed with a sound loss
    engine: dict[str, Any] | None = None  # what the worker said of its engine
    loss: float | None = None  # of the last iteration's forward pass, where it is finished


class Session:
    """Runs a worker and looks after it.  Used once: ``Session(...).run()``.

    ``arguments``: the worker's; where several solvers train together, those of each one's worker
    that starts here, rank 0's first.
    """

    def __init__(
        self,
        engine: Engine,
        arguments: Sequence[Sequence[str]],
        paths: RunPaths,
        parser: LogParser,
        progress: Progress,
        divergence_limit: float | None = None,
        first: int = 0,
        on_snapshot: Callable[[int, Callable[[str], None]], None] | None = None,
        threads: int | None = None,
    ) -> None:
        self._engine = engine
        self._arguments = arguments
        self._paths = paths
        self._parser = parser
        self._progress = progress
        self._limit = divergence_limit
        self._on_snapshot = on_snapshot
        self._threads = threads
        self._iteration = first
        self._last_good = first or None  # what it starts from is sound
        self._diverged: str | None = None
        self._signals: list[str] = []
        self._engine_event: dict[str, Any] | None = None
        self._end: str | None = None
        self._loss: float | None = None
        self._worker: RankProcesses | None = None

    def run(self) -> Outcome:
        """Start the worker (or workers), follow it to its end, and say how it ended."""
        with self._paths.log.open("ab", buffering=0) as log:
            self._log = log
            with (
                signals.taken(STOP_SIGNALS, self._on_signal),
                RankProcesses(
                    self._engine,
                    self._arguments,
                    [self._paths.rank_log(rank) for rank in range(1, len(self._arguments))],
                    threads=self._threads,
                    with_input=True,
                    take_event=self._take_event,
                    take_log=self._take_log,
                ) as worker,
            ):
                self._worker = worker
                if self._signals:  # that came before there was a worker
                    self._ask_to_stop()
                status = worker.follow()
        self._take_records(self._parser.close())
        return self._outcome(worker, status)

    # ------------------------------------------------------------------ what the worker says

    def _take_log(self, lines: Sequence[str]) -> None:
        # a blank line stops Caffe's own log parser with an error
        lines = [without_year(line) for line in lines if line]
        self._write_log(lines)
        for line in lines:
            self._progress.log_line(line)
            self._take_records(self._parser.feed(line))

    def _take_records(self, records: Sequence[Record]) -> None:
        append_history(self._paths.history, records)
        for record in records:
            self._progress.record(record)
            if "train_loss" in record:
                self._watch(record)

    def _watch(self, record: Record) -> None:
        loss, iteration = record["train_loss"], record["iteration"]
        sound = loss is not None and math.isfinite(loss)
        if sound and (self._limit is None or loss < self._limit):
            if self._diverged is None:
                self._last_good = iteration
            return
        if self._diverged is None:
            shown = f"{loss:.4g}" if sound else "not finite"
            self._diverged = f"the training loss is {shown} at iteration {iteration}"
            # killed, not stopped: a snapshot of these weights would be worth nothing
            self._kill()

    def _take_event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind in ("solving", "iteration", "stopped", "done"):
            self._iteration = event["iteration"]
            self._progress.iteration(self._iteration)
        if kind in ("stopped", "done"):
            self._end = kind
            self._loss = event.get("loss")
        elif kind == "snapshot" and self._on_snapshot is not None:
            # first what the worker has logged before it: a sealed snapshot has its whole log
            assert self._worker is not None
            self._worker.drain_log()
            self._on_snapshot(event["iteration"], self._warn)
        elif kind == "engine":
            self._engine_event = {k: v for k, v in event.items() if k != "event"}
        elif kind == "diverged":
            self._iteration = event["iteration"]
            self._diverged = self._diverged or event["message"]

    def _warn(self, text: str) -> None:
        """Say something of our own to the user, and in the log."""
        self._write_log([glog_line(OWN + text, "W")])
        self._progress.message(text)

    def _write_log(self, lines: Sequence[str]) -> None:
        with files.naming(self._paths.log):
            self._log.write("".join(line + "\n" for line in lines).encode("utf-8"))

    # ------------------------------------------------------------------ signals

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        again = number == signal.SIGINT and "SIGINT" in self._signals
        self._signals.append(name)
        if again:
            self._kill()
        elif len(self._signals) == 1 and self._worker is not None:
            self._ask_to_stop()

    def _kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def _ask_to_stop(self) -> None:
        assert self._worker is not None
        self._worker.say("stop")
        hint = " (once more stops at once)" if self._signals[0] == "SIGINT" else ""
        self._progress.message(f"{self._signals[0]}: stopping after this iteration{hint}")

    # ------------------------------------------------------------------ the end

    def _outcome(self, worker: RankProcesses, status: int) -> Outcome:
        state, message = self._verdict(worker, status)
        loss = self._loss if state == runs.FINISHED else None
        return Outcome(state, self._iteration, message, self._last_good, self._engine_event, loss)

    def _verdict(self, worker: RankProcesses, status: int) -> tuple[str, str]:
        if self._diverged is not None:
            return runs.DIVERGED, self._diverged
        if status == 0 and self._end == "done":
            return runs.FINISHED, ""
        if status == StoppedEarly.exit_status or (self._signals and status == -signal.SIGKILL):
            return runs.STOPPED, f"stopped by {self._signals[0] if self._signals else 'SIGTERM'}"
        return runs.FAILED, worker.fault()
