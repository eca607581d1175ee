"""Trains a net: plans a request, then carries the plan out session by session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from tinynet import launcher
from tinynet.errors import UsageError
from tinynet.run import launched, lock, resume
from tinynet.run import plan as plans
from tinynet.run import record as runs
from tinynet.run.request import TrainingRequest
from tinynet.run.session import Session
from tinynet.run.status import summary


def train(request: TrainingRequest, say: Callable[[str], None]) -> dict[str, Any]:
    """Train a run to its end, and return its summary (see ``status.summary``).

    ``say`` gets each message for the user, one line at a time.  If a launcher has started a process
    for each solver, rank 0 calls this, and the others call ``launched.work``.  Raises StoppedEarly
    after a signal, TinynetError if the run cannot start, fails or diverges.
    """
    paths, process = request.paths, launcher.this_process()
    if process is not None and process.rank:
        raise UsageError(
            f"rank {process.rank} of {process.solvers}: rank 0 alone has a run directory"
        )
    with launched.OtherRanks(process) as others, contextlib.ExitStack() as held:
        plan = plans.make(request, process)
        if plan is not None:
            require_in_place = held.enter_context(lock.hold(paths))
            if runs.load(paths.run_json) != plan.stored:  # another process trained it meanwhile
                plan = plans.make(request, process)
        if plan is not None:
            for warning in plan.warnings:
                say(warning)
            finished = False
            while not finished:  # a warm-up is a session of its own, before that of the solver
                finished = Session(plan, say, others, require_in_place).run()
        run = runs.load(paths.run_json)
        assert run is not None  # a session has written it, now or before
        if plan is None:
            say(
                f"{paths.root}: is finished ({run.iteration} iterations); "
                "--resume --max-iter N takes it further, --name starts another"
            )
            if resume.history_fault(paths) is not None:
                # while we hold the run, so that no other process appends to what is rebuilt
                held.enter_context(lock.hold(paths))
        rebuilt = resume.rebuild_damaged_history(paths, run.effective_batch)
        if rebuilt is not None:
            say(rebuilt)
        return summary(paths, run)
