"""Runs a job list on this machine: on its GPUs, or on its cores in equal shares.

Any number of runners may work on one list.  If one dies, another may be started in its place: its
jobs then resume from their newest snapshots.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinynet.engine import signals
from tinynet.engine.failures import is_of_a_broken_gpu
from tinynet.errors import StoppedEarly, TinynetError, os_error_message
from tinynet.jobs import states
from tinynet.jobs.claims import claim
from tinynet.jobs.commands import Commands
from tinynet.jobs.job_list import Job, ListPaths, read
from tinynet.jobs.slots import Slot, Slots
from tinynet.jobs.states import State
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths

Say = Callable[[str], None]
Watch = Callable[[list[Job], list[Job]], None]
Fits = Callable[[Job], bool]

_TICK_SECONDS = 0.2
_WATCH_SECONDS = 60.0
_LOOK_SECONDS = 3.0  # how often to read what other runners have done


@dataclass
class JobsReport:
    """The states of the jobs that a runner was to do, and what it did itself."""

    states: dict[str, State]
    blocked: dict[str, list[str]]  # for each job, the jobs that must be done first and are not
    begun: list[str] = field(default_factory=list)
    signal: str | None = None  # the one that stopped the runner
    stuck: list[str] = field(default_factory=list)  # stopped twice at the same iteration
    too_long: list[str] = field(default_factory=list)  # not begun: they did not fit the time left

    def names(self, state: str) -> list[str]:
        return [name for name, each in self.states.items() if each.name == state]

    @property
    def complete(self) -> bool:
        return all(each.name == states.DONE for each in self.states.values())

    def require_complete(self, folder: Path) -> None:
        """Raise StoppedEarly after a signal, TinynetError if jobs have failed or are blocked."""
        if self.complete:
            return
        left = len(self.states) - len(self.names(states.DONE))
        if self.stuck:
            raise TinynetError(
                f"{folder}: {_jobs(self.stuck)} made no progress between two stops; give more time"
            )
        failed = self.names(states.FAILED)
        if self.signal is not None:
            begun_again = f" ({len(failed)} failed: --retry begins them again)" if failed else ""
            raise StoppedEarly(
                f"{folder}: stopped by {self.signal} with {left} of {len(self.states)} jobs not "
                f"done{begun_again}; the same command resumes it"
            )
        parts = []
        if failed:
            first = self.states[failed[0]].message
            parts.append(f"{_jobs(failed)} failed ({failed[0]}: {first}; logs in {folder}/logs)")
            if not set(failed) <= set(self.begun):
                parts[-1] += "; --retry begins again what had failed before"
        if self.too_long and not failed:
            raise StoppedEarly(
                f"{folder}: {_jobs(self.too_long)} would not have ended in the time given; the "
                "same command begins what is left"
            )
        stopped = self.names(states.STOPPED)
        if stopped and not failed:
            raise StoppedEarly(f"{folder}: {_jobs(stopped)} stopped; the same command resumes it")
        if self.blocked:
            first, because = next(iter(self.blocked.items()))
            parts.append(f"{_jobs(list(self.blocked))} could not begin ({first}: not done yet: "
                         f"{', '.join(because)})")  # fmt: skip
        raise TinynetError(f"{folder}: {'; '.join(parts) or f'{left} jobs are not done'}")


def run(
    folder: Path,
    slots: Slots,
    say: Say,
    only: Sequence[str] | None = None,
    again: bool = False,
    watch: Watch | None = None,
    fits: Fits | None = None,
) -> JobsReport:
    """Do the jobs of the list in ``folder`` that no other runner does, in order.

    ``slots``: where they run.  ``only``: names of the jobs to do; None: all.  ``again``: also do
    jobs that have failed before, once each.  ``watch`` is called every minute with the jobs that
    run here and those that are not done.  ``fits`` is called before a job is begun, and returns
    whether the time left is enough for it.

    If a job fails, the others are done all the same.  Ends when nothing is left to do here, and no
    other runner works on a job that others wait for.  The signals that ask to stop
    (``engine.signals``) are passed on to the commands, which stop with a snapshot; then the runner
    ends.  Returns the jobs' states.  Raises OSError if the list cannot be written, TinynetError if
    there is none.
    """
    return _Runner(folder, slots, say, only, again, watch, fits).run()


@dataclass
class _Runner:
    _folder: Path
    _slots: Slots
    _say: Say
    _only: Sequence[str] | None
    _retries: bool
    _watch: Watch | None
    _fits: Fits | None
    _active: list[Commands] = field(default_factory=list)
    _begun: list[str] = field(default_factory=list)
    # stopped, but not by us: somebody wanted that, so only the next runner begins them again
    _left_alone: set[str] = field(default_factory=set)
    _stuck: list[str] = field(default_factory=list)
    _signals: list[int] = field(default_factory=list)
    _passed_on: int = 0
    _said_waiting: str = ""
    _too_long: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._list = read(self._folder)
        only = self._only
        self._scope = None if only is None else [self._list[n].name for n in dict.fromkeys(only)]
        known = self._known() if self._retries else {}
        self._again = {name for name, state in known.items() if state.name == states.FAILED}

    def run(self) -> JobsReport:
        with signals.caught(signals.STOP, self._signals.append):
            try:
                next_look = 0.0
                next_watch = time.monotonic() + _WATCH_SECONDS
                while True:
                    if self._reap():
                        next_look = 0.0
                    self._pass_signals_on()
                    if self._signals:
                        if not self._active:
                            break
                    elif time.monotonic() >= next_look:
                        if not self._look():
                            break
                        next_look = time.monotonic() + _LOOK_SECONDS
                    if self._watch is not None and time.monotonic() >= next_watch:
                        with contextlib.suppress(OSError, TinynetError):  # ends no job, as in _look
                            self._watch([c.job for c in self._active], self._left())
                        next_watch = time.monotonic() + _WATCH_SECONDS
                    time.sleep(_TICK_SECONDS)
            finally:
                with contextlib.ExitStack() as ends:  # all, even if one cannot be written down
                    for commands in self._active:  # after an error of ours: with snapshots
                        ends.callback(self._finish, commands, states.STOPPED_STATUS)
                        ends.callback(commands.stop)
        return self._report()

    # ------------------------------------------------------------------ what runs

    def _reap(self) -> bool:
        """Poll the jobs that run; return whether one has ended."""
        ended = False
        for commands in list(self._active):
            status = commands.poll()
            if status is not None:
                ended = True
                self._active.remove(commands)
                self._finish(commands, status)
        return ended

    def _finish(self, commands: Commands, status: int) -> None:
        message = commands.message(status)
        missing = self._list.removed(commands.job)
        if status == 0 and missing is not None:  # otherwise it would be begun for ever
            status, message = 1, f"succeeded, but {missing} does not exist"
        if status == states.STOPPED_STATUS and not commands.told_to_stop:
            self._left_alone.add(commands.job.name)
        iteration = self._iteration(commands.job)
        previous = commands.claim.previous
        if (
            # a batch system's warning before a time limit: started again, it would get no further
            status == states.STOPPED_STATUS
            and self._signals
            and self._signals[0] in signals.WARNINGS
            and previous is not None
            and previous.status == status
            and iteration is not None
            and previous.iteration == iteration
        ):
            self._stuck.append(commands.job.name)
        commands.close()
        broken = status not in (0, states.STOPPED_STATUS) and is_of_a_broken_gpu(message)
        self._slots.give_back(commands.slot, broken)
        try:
            commands.claim.finish(status, message, iteration)
        except OSError as error:  # a full disk; the run's own record says how it ended
            self._say(
                f"{commands.job.name}: how it ended cannot be written: {os_error_message(error)}"
            )
        word = {0: "done", states.STOPPED_STATUS: "stopped"}.get(status, "failed")
        self._say(f"{commands.job.name}: {word}" + (f": {message}" if message else ""))
        if broken:
            self._say(f"{commands.slot.label} gets no more jobs of this runner")

    def _iteration(self, job: Job) -> int | None:
        """The iteration of the newest snapshot of a job's run; None if it has no run."""
        directory = self._list.run_directory(job)
        try:
            run = None if directory is None else runs.load(RunPaths(directory).run_json)
        except (TinynetError, OSError):
            return None
        return None if run is None else run.iteration

    def _yield(self) -> None:
        """Stop jobs, the youngest first, whose slots should be left to others."""
        for commands in self._active[::-1][: self._slots.wanted_by_others()]:
            self._say(f"{commands.job.name}: leaves {commands.slot.label} to others")
            commands.send(signal.SIGTERM)

    # ------------------------------------------------------------------ what can begin

    def _look(self) -> bool:
        """Leave slots to others, begin jobs; return False if nothing is left to wait for.

        An error, of the list's disk, say, does not end the jobs that run.
        """
        try:
            self._yield()
            # otherwise each of a thousand array tasks would read the list all the time
            if self._active and self._slots.are_taken():
                return True
            return self._begin_what_can() or bool(self._active)
        except (OSError, TinynetError) as error:
            if not self._active:
                raise
            said = os_error_message(error) if isinstance(error, OSError) else str(error)
            self._say_waiting(f"{said}; what runs is not ended for that")
            return True

    def _begin_what_can(self) -> bool:
        """Begin jobs while there are slots; return whether there is something left to wait for."""
        self._list = read(self._folder)  # which may have grown
        known = self._known()
        ready = [job for job in self._jobs() if self._is_ready(job, known)]
        self._too_long = []
        for job in list(ready):
            if self._fits is not None and not self._fits(job):
                self._too_long.append(job.name)
                ready.remove(job)
                continue
            slot = self._slots.take(job.solvers)
            if slot is None:
                if not self._active:
                    self._say_waiting("waiting for a free GPU")
                return True
            begun = False
            try:
                begun = self._begin(job, slot)
            finally:
                if not begun:
                    self._slots.give_back(slot)
        if self._active or ready:
            return True
        others = [name for name, state in known.items() if state.name == states.RUNNING]
        if others:
            self._say_waiting(f"waiting for {_jobs(others)}, which other runners work on")
        return bool(others)

    def _jobs(self) -> list[Job]:
        names = [job.name for job in self._list.jobs] if self._scope is None else self._scope
        return [self._list[name] for name in names]

    def _known(self) -> dict[str, State]:
        """The states, by name, of our jobs and of all jobs that must be done before them."""
        jobs: Iterable[Job] = self._list.jobs
        if self._scope is not None:
            jobs = self._list.with_all_before(self._scope)
        return states.states_of(self._folder, jobs, self._list)

    def _left(self) -> list[Job]:
        known = self._known()
        return [job for job in self._jobs() if known[job.name].name != states.DONE]

    def _is_ready(self, job: Job, known: dict[str, State]) -> bool:
        is_open = known[job.name].is_open(again=job.name in self._again)
        return is_open and job.name not in self._left_alone and not states.blocked_by(job, known)

    def _begin(self, job: Job, slot: Slot) -> bool:
        taken = claim(self._folder, job, self._list, again=job.name in self._again)
        if taken is None:
            return False
        log = ListPaths(self._folder).log(job.name)
        try:
            commands = Commands(job, taken, slot, self._list.directory, log)
        except BaseException:
            taken.abandon()
            raise
        self._again.discard(job.name)
        self._say(f"{job.name}: begins on {slot.label}")
        self._begun.append(job.name)
        status = commands.start_next()
        if status is None:
            self._active.append(commands)
        else:
            self._finish(commands, status)
        return True

    def _say_waiting(self, text: str) -> None:
        if text != self._said_waiting:
            self._said_waiting = text
            self._say(text)

    # ------------------------------------------------------------------ signals and the end

    def _pass_signals_on(self) -> None:
        for number in self._signals[self._passed_on :]:
            # a second Ctrl-C asks for a stop at once; other signals are passed on only once
            if self._passed_on == 0 or number == signal.SIGINT:
                jobs = "1 job" if len(self._active) == 1 else f"{len(self._active)} jobs"
                self._say(f"{signal.Signals(number).name}: stopping {jobs}")
                for commands in self._active:
                    commands.send(number)
            self._passed_on += 1

    def _report(self) -> JobsReport:
        known = self._known()
        mine = {job.name: known[job.name] for job in self._jobs()}
        blocked = {
            job.name: states.blocked_by(job, known)
            for job in self._jobs()
            if known[job.name].name == states.WAITING and states.blocked_by(job, known)
        }
        stopped = signal.Signals(self._signals[0]).name if self._signals else None
        return JobsReport(mine, blocked, self._begun, stopped, self._stuck, self._too_long)


def _jobs(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"job {shown}" if len(names) == 1 else f"{len(names)} jobs ({shown})"
