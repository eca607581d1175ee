"""A session: one worker, or one per solver, trains a run from where it stands to its end.

The session writes the prototxt, ``run.json``, the log and the history; the worker writes the
snapshots.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from tinynet import files
from tinynet.caffeformat.glog import OWN, glog_line
from tinynet.engine import signals
from tinynet.engine.ranks import RankProcesses
from tinynet.errors import StoppedEarly, TinynetError
from tinynet.run import memory, resume, retention, snapshots
from tinynet.run import record as runs
from tinynet.run.launched import OtherRanks
from tinynet.run.log import LogParser, Record, append_history, without_year
from tinynet.run.plan import Plan
from tinynet.run.progress import Progress
from tinynet.run.snapshots import Snapshot


class Session:
    """Used once, by ``run``, while the run directory is held.

    ``require_in_place`` raises TinynetError if the run directory is no longer the one that is held.
    """

    def __init__(
        self,
        plan: Plan,
        say: Callable[[str], None],
        others: OtherRanks,
        require_in_place: Callable[[], None],
    ) -> None:
        """Find where the run stands.  Raises TinynetError if that is beyond max_iter."""
        self._plan, self._say, self._others = plan, say, others
        self._require_in_place = require_in_place
        self._paths, self._run = plan.paths, plan.run
        self._snapshot: Snapshot | None = None
        self._exact = False
        self._notes: list[str] = []
        if self._paths.run_json.exists():
            self._snapshot, self._exact, self._notes = resume.start(
                self._paths, self._run, plan.prototxt, plan.engine.name
            )
        self._first = self._snapshot.iteration if self._snapshot else 0
        self._solver, self._last = plan.prototxt.at(self._first)
        self._is_warm_up = self._solver is plan.prototxt.warm_up
        self._solver_file = self._paths.warm_up if self._is_warm_up else self._paths.solver
        self._iteration = self._first
        self._last_good = self._first or None  # the snapshot that it starts from is sound
        self._diverged: str | None = None
        self._signals: list[str] = []
        self._engine_event: dict[str, Any] | None = None
        self._end: str | None = None
        self._loss: float | None = None  # of the last iteration's forward pass
        self._worker: RankProcesses | None = None

    def run(self) -> bool:
        """Start the worker (or workers), follow it to its end, and record how it ended.

        Returns True if the run is finished, False if only its warm-up is, after which another
        session must follow.  Raises StoppedEarly after a signal, TinynetError if it failed or
        diverged.
        """
        self._begin()
        state, message = runs.FAILED, "ended by an error of the driver"
        try:
            arguments = self._arguments()
            with self._others.working(more=self._is_warm_up):
                state, message = self._follow(arguments)
        finally:
            self._progress.close()
            self._record(state, message)
        if state != runs.FINISHED:
            raise self._error()
        return not self._is_warm_up

    # ------------------------------------------------------------------ the beginning

    def _begin(self) -> None:
        """Write what a worker needs to the run directory, then record that the session begins."""
        plan, paths, run = self._plan, self._paths, self._run
        history, notes = resume.history_before(paths, run, self._solver.display, self._first)
        self._notes += notes
        for line in (*self._notes, plan.headline(self._first)):
            self._say(line)
        for name, text in plan.prototxt.texts(paths).items():
            files.write_text(paths.root / name, text)
        snapshots.remove_after(paths.snapshots, self._first)
        if self._snapshot is None:
            paths.log.write_bytes(b"")
            for rank in range(1, run.solvers):
                paths.rank_log(rank).unlink(missing_ok=True)
        else:
            resume.write_to_log(paths, self._snapshot, plan.engine.name, self._exact, self._notes)
        run.begin_session(self._first, self._solver_file.name)
        run.save(paths.run_json)
        seconds = history[-1].get("seconds", 0.0) if history else 0.0
        self._parser = LogParser(run.effective_batch, seconds)
        asked = plan.request
        self._progress = Progress(
            *(plan.prototxt.net_name, self._first, run.max_iter, asked.quiet),
            on_record=asked.on_record,
        )

    def _arguments(self) -> list[list[str]]:
        """Arguments for each worker started here; rank 0's come first."""
        several, shared = self._plan.solvers, self._shared_arguments()
        if several.process:
            shared += self._others.arguments(more=self._is_warm_up)
        found = []
        for rank in range(several.here):
            own = ["--gpu", str(several.gpus[rank])] if several.gpus else []
            if several.count > 1:
                own += ["--solvers", str(several.count), "--rank", str(rank)]
            found.append([*shared, *own])
        return found

    def _shared_arguments(self) -> list[str]:
        solver, prototxt, run = self._solver, self._plan.prototxt, self._run
        arguments = ["train", os.fspath(self._solver_file)]
        if run.precision != "float32":
            arguments += ["--precision", run.precision]
        if run.max_norm is not None:
            arguments += ["--max-norm", repr(run.max_norm)]
        arguments += ["--net-name", prototxt.net_name, "--max-iter", str(self._last)]
        arguments += ["--display", str(solver.display), "--average-loss", str(solver.average_loss)]
        arguments += ["--test-interval", str(solver.test_interval)]
        for iterations in solver.test_iter:
            arguments += ["--test-iter", str(iterations)]
        arguments += ["--snapshot", str(solver.snapshot)]
        if prototxt.divergence_limit is not None:
            arguments += ["--divergence-limit", repr(prototxt.divergence_limit)]
        if self._snapshot is None:
            for weights in run.weights:
                arguments += ["--weights", weights]
        elif self._exact:
            # the engine finds the model beside the state; the complete state has the model's hash
            arguments += ["--restore", os.fspath(self._snapshot.state), "--exactly"]
        else:
            arguments += ["--restore", os.fspath(snapshots.resumable_state(self._snapshot))]
            for skip in resume.skips(prototxt, self._first, run.solvers):
                arguments.append(f"--skip={skip}")
        return arguments

    def _follow(self, arguments: Sequence[Sequence[str]]) -> tuple[str, str]:
        """Run the worker to its end; return the run's state and the reason for it."""
        with (
            self._paths.log.open("ab", buffering=0) as self._log,
            signals.caught(signals.STOP, self._on_signal),
            RankProcesses(
                self._plan.engine,
                arguments,
                [self._paths.rank_log(rank) for rank in range(1, len(arguments))],
                threads=self._run.threads,
                with_input=True,
                take_event=self._take_event,
                take_log=self._take_log,
            ) as worker,
        ):
            self._worker = worker
            if self._signals:  # they came before there was a worker
                self._ask_to_stop()
            status = worker.follow()
        self._take_records(self._parser.close())
        if self._diverged is not None:
            return runs.DIVERGED, self._diverged
        if status == 0 and self._end == "done":
            if self._is_warm_up and self._signals:  # in the last test, after its last iteration
                return runs.STOPPED, f"stopped by {self._signals[0]}"
            return runs.FINISHED, ""
        if status == StoppedEarly.exit_status or (self._signals and status == -signal.SIGKILL):
            return runs.STOPPED, f"stopped by {self._signals[0] if self._signals else 'SIGTERM'}"
        fault = worker.fault()
        return runs.FAILED, self._plan.prototxt.with_original_location(fault, self._paths)

    # ------------------------------------------------------------------ what the worker says

    def _take_log(self, lines: Sequence[str]) -> None:
        # a blank line stops Caffe's own log parser with an error
        lines = [without_year(line) for line in lines if line]
        self._write_log(lines)
        for line in lines:
            self._progress.log_line(line)
            self._take_records(self._parser.feed(line))

    def _take_records(self, records: Sequence[Record]) -> None:
        if records:
            self._require_in_place()
        append_history(self._paths.history, records)
        for record in records:
            self._progress.record(record)
            if "train_loss" in record:
                self._watch(record)

    def _watch(self, record: Record) -> None:
        loss, iteration = record["train_loss"], record["iteration"]
        limit = self._plan.prototxt.divergence_limit
        sound = loss is not None and math.isfinite(loss)
        if sound and (limit is None or loss < limit):
            if self._diverged is None:
                self._last_good = iteration
            return
        if self._diverged is None:
            shown = f"{loss:.4g}" if sound else "not finite"
            self._diverged = f"the training loss is {shown} at iteration {iteration}"
            # killed, not stopped: a snapshot of these weights would be useless
            self._kill()

    def _take_event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind in ("solving", "iteration", "stopped", "done"):
            self._iteration = event["iteration"]
            self._progress.iteration(self._iteration)
        if kind in ("stopped", "done"):
            self._end = kind
            self._loss = event.get("loss")
        elif kind == "snapshot":
            self._require_in_place()
            # take the earlier log lines first: the log is complete up to every sealed snapshot
            assert self._worker is not None
            self._worker.drain_log()
            keep = retention.KEEP if self._run.keep is None else self._run.keep
            retention.seal_and_prune(
                self._paths, self._solver.type, keep, event["iteration"], self._warn
            )
        elif kind == "engine":
            self._engine_event = {k: v for k, v in event.items() if k != "event"}
        elif kind == "diverged":
            self._iteration = event["iteration"]
            self._diverged = self._diverged or event["message"]

    def _warn(self, text: str) -> None:
        """Show a warning of our own to the user, and write it to the log."""
        self._write_log([glog_line(OWN + text, "W")])
        self._progress.message(text)

    def _write_log(self, lines: Sequence[str]) -> None:
        left = memoryview("".join(line + "\n" for line in lines).encode("utf-8"))
        with files.name_in_errors(self._paths.log):
            while left:  # a disk that has just become full takes a part, then refuses the rest
                left = left[self._log.write(left) :]

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

    def _record(self, state: str, message: str) -> None:
        """Record in ``run.json`` how the session ended, and at which snapshot the run stands."""
        self._require_in_place()
        run, iteration = self._run, self._iteration
        last = self._last_good if state == runs.DIVERGED else None
        if state == runs.FAILED and memory.is_shortage(message):
            message += f"; {memory.advice(self._plan.prototxt)}"
        if state == runs.FINISHED and self._is_warm_up:
            state, message = runs.STOPPED, "warmed up"
        if state != runs.FINISHED:
            found = [s.iteration for s in snapshots.snapshots(self._paths.snapshots)]
            iteration = max((n for n in found if last is None or n <= last), default=0)
        if self._engine_event:
            run.sessions[-1]["worker"] = self._engine_event
            if "gpu_name" in self._engine_event:
                run.versions["gpu"] = self._engine_event["gpu_name"]
        run.last_loss = self._loss if state == runs.FINISHED else None
        run.last_good = last
        run.end_session(state, iteration, message)
        run.save(self._paths.run_json)

    def _error(self) -> TinynetError:
        """The exception for a session that did not reach its end."""
        run, root = self._run, self._paths.root
        at = f"the snapshot of iteration {run.iteration}" if run.iteration else "the start"
        if run.state == runs.STOPPED:
            return StoppedEarly(
                f"{root}: {run.message} at iteration {self._iteration} of {run.max_iter}; "
                f"the same command resumes it from {at}"
            )
        if run.state == runs.DIVERGED:
            return TinynetError(
                f"{root}: diverged: {run.message}; start another run (--name) with a lower "
                f"base_lr, say a third, or a smaller std of the weight fillers; {at} is kept"
            )
        return TinynetError(f"{run.message}; the log is {self._paths.log}")
