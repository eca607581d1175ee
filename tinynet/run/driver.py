"""Trains: makes a plan of a request, and carries it out session by session."""

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
    """Carry a run to its end, and return its summary (see ``status.summary``).

    ``say`` gets each message for the user, a line each.  Where a launcher has started a process
    for each solver, rank 0 calls this, and the others ``launched.work``.  Raises StoppedEarly after
    a signal, TinynetError where the run cannot start, fails or diverges.
    """
    paths, place = request.paths, launcher.in_environment()
    if place is not None and place.rank:
        raise UsageError(f"rank {place.rank} of {place.solvers}: rank 0 alone has a run directory")
    with launched.OtherRanks(place) as others, contextlib.ExitStack() as held:
        plan = plans.make(request, place)
        if plan is not None:
            held.enter_context(lock.hold(paths))
            if runs.load(paths.run_json) != plan.stored:  # another process was here until now
                plan = plans.make(request, place)
        if plan is not None:
            for warning in plan.warnings:
                say(warning)
            finished = False
            while not finished:  # a warm-up is a session of its own, and goes before
                finished = Session(plan, say, others).run()
        run = runs.load(paths.run_json)
        assert run is not None  # a session has written it
        if plan is None:
            say(
                f"{paths.root}: is finished ({run.iteration} iterations); "
                "--resume --max-iter N takes it further, --name starts another"
            )
        mended = resume.mend_history(paths, run.effective_batch)
        if mended is not None:
            say(mended)
        return summary(paths, run)
