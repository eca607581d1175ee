"""One worker, from its start to its end: pipes, signals, log, history, divergence."""

from __future__ import annotations

import collections
import contextlib
import json
import math
import os
import select
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tinynet import files
from tinynet.caffeformat.glog import glog_line
from tinynet.engine import engines
from tinynet.errors import StoppedEarly
from tinynet.run import record as runs
from tinynet.run.log import LogParser, Record, append_history, without_year
from tinynet.run.paths import RunPaths
from tinynet.run.progress import Progress

_TAIL = 200  # lines kept to explain a failure
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")


@dataclass
class Outcome:
    """How a session ended; ``message`` says why, where it is not finished."""

    state: str
    iteration: int
    message: str = ""
    last_good: int | None = None  # last iteration displayed with a sound loss
    engine: dict[str, Any] | None = None  # what the worker said of its engine


class Session:
    """Runs a worker and looks after it.  Used once: ``Session(...).run()``."""

    def __init__(
        self,
        engine: engines.Engine,
        arguments: Sequence[str],
        paths: RunPaths,
        parser: LogParser,
        progress: Progress,
        divergence_limit: float | None = None,
        first: int = 0,
        on_snapshot: Callable[[int, Callable[[str], None]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._arguments = arguments
        self._paths = paths
        self._parser = parser
        self._progress = progress
        self._limit = divergence_limit
        self._on_snapshot = on_snapshot
        self._iteration = first
        self._last_good = first or None  # what it starts from is sound
        self._diverged: str | None = None
        self._signals: list[str] = []
        self._error: str | None = None
        self._engine_event: dict[str, Any] | None = None
        self._end: str | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._rest: dict[int, bytes] = {}  # of each stream, the line that has not ended yet
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL)

    def run(self) -> Outcome:
        """Start the worker, follow it to its end, and say how it ended."""
        with self._paths.log.open("ab", buffering=0) as log:
            self._log = log
            with self._signals_stop_worker():
                worker = self._worker = engines.start_worker(
                    self._engine,
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                try:
                    if self._signals:  # that came before there was a worker
                        self._ask_to_stop()
                    self._follow(worker)
                    status = worker.wait()
                finally:
                    if worker.poll() is None:  # an error of ours, not of the worker
                        worker.kill()
                        worker.wait()
                    for pipe in (worker.stdin, worker.stdout, worker.stderr):
                        assert pipe is not None
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()
        self._take_records(self._parser.close())
        return self._outcome(status)

    # ------------------------------------------------------------------ the worker's two streams

    def _follow(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdout is not None and worker.stderr is not None
        takers = {worker.stdout: self._take_events, worker.stderr: self._take_log}
        with selectors.DefaultSelector() as selector:
            for pipe, take in takers.items():
                selector.register(pipe, selectors.EVENT_READ, take)
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._read(key.fd, key.data):
                        selector.unregister(key.fileobj)

    def _read(self, descriptor: int, take: Callable[[Sequence[bytes]], None]) -> bool:
        """Hand on the whole lines that have come; False at the stream's end."""
        data = os.read(descriptor, 1 << 16)
        rest = self._rest.get(descriptor, b"")
        # the end ends a line that was cut off
        *lines, self._rest[descriptor] = (rest + (data or b"\n")).split(b"\n")
        take(lines)
        return bool(data)

    def _drain_log(self) -> None:
        assert self._worker is not None and self._worker.stderr is not None
        descriptor = self._worker.stderr.fileno()
        while select.select([descriptor], [], [], 0)[0] and self._read(descriptor, self._take_log):
            pass

    def _take_log(self, raw: Sequence[bytes]) -> None:
        # a blank line stops Caffe's own log parser with an error
        lines = [without_year(line.decode("utf-8", "replace").rstrip()) for line in raw]
        lines = [line for line in lines if line]
        self._write_log(lines)
        for line in lines:
            self._tail.append(line)
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

    def _take_events(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            with contextlib.suppress(ValueError):
                self._take_event(json.loads(line.decode("utf-8")))

    def _take_event(self, event: dict[str, Any]) -> None:
        kind = event.pop("event", None)
        if kind in ("solving", "iteration", "stopped", "done"):
            self._iteration = event["iteration"]
            self._progress.iteration(self._iteration)
        if kind in ("stopped", "done"):
            self._end = kind
        elif kind == "snapshot" and self._on_snapshot is not None:
            # first what the worker has logged before it: a sealed snapshot has its whole log
            self._drain_log()
            self._on_snapshot(event["iteration"], self._warn)
        elif kind == "engine":
            self._engine_event = event
        elif kind == "diverged":
            self._iteration = event["iteration"]
            self._diverged = self._diverged or event["message"]
        elif kind == "error":
            self._error = event["message"]

    def _warn(self, text: str) -> None:
        """Say something of our own to the user, and in the log."""
        self._write_log([glog_line(text, "W", "driver.py:3")])
        self._progress.message(text)

    def _write_log(self, lines: Sequence[str]) -> None:
        with files.naming(self._paths.log):
            self._log.write("".join(line + "\n" for line in lines).encode("utf-8"))

    # ------------------------------------------------------------------ signals

    @contextlib.contextmanager
    def _signals_stop_worker(self) -> Iterator[None]:
        before: dict[int, Any] = {}
        for name in STOP_SIGNALS:
            number = getattr(signal, name)
            # what was ignored at our start (nohup) stays ignored
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(ValueError):  # not in the main thread
                    before[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
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
        assert self._worker is not None and self._worker.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it may just have ended
            os.write(self._worker.stdin.fileno(), b"stop\n")
        hint = " (once more stops at once)" if self._signals[0] == "SIGINT" else ""
        self._progress.message(f"{self._signals[0]}: stopping after this iteration{hint}")

    # ------------------------------------------------------------------ the end

    def _outcome(self, status: int) -> Outcome:
        state, message = self._verdict(status)
        return Outcome(state, self._iteration, message, self._last_good, self._engine_event)

    def _verdict(self, status: int) -> tuple[str, str]:
        if self._diverged is not None:
            return runs.DIVERGED, self._diverged
        if status == 0 and self._end == "done":
            return runs.FINISHED, ""
        if status == StoppedEarly.exit_status or (self._signals and status == -signal.SIGKILL):
            return runs.STOPPED, f"stopped by {self._signals[0] if self._signals else 'SIGTERM'}"
        return runs.FAILED, engines.explain_failure(self._engine, status, self._tail, self._error)
