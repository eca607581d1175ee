"""Trains: does what the run directory needs (``plan``), session by session, and records the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinynet import files, launcher
from tinynet.engine import devices, discovery
from tinynet.engine.precision import require_precision
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.run import checks, launched, lock, memory, prepare, retention, snapshots, solvers
from tinynet.run import record as runs
from tinynet.run import resume as resuming
from tinynet.run.log import LogParser
from tinynet.run.paths import RunPaths
from tinynet.run.plan import Plan, TrainingRequest, decide, is_finished
from tinynet.run.progress import Progress
from tinynet.run.record import Run
from tinynet.run.session import Outcome, Session
from tinynet.run.summary import summary


def train(request: TrainingRequest, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry a run to its end, and return its summary (see ``summary``).

    ``say`` gets each message for the user, a line each.  Where a launcher has started a process
    for each solver, rank 0 calls this, and the others ``launched.work``.  Raises StoppedEarly after
    a signal, TinynetError where the run cannot start, fails or diverges.
    """
    place = launcher.in_environment()
    if place is not None and place.rank:
        raise UsageError(f"rank {place.rank} of {place.solvers}: rank 0 alone has a run directory")
    with launched.OtherRanks(place) as others:
        return _train(request, say, others)


def _train(
    request: TrainingRequest, say: Callable[[str], None], others: launched.OtherRanks
) -> dict[str, Any]:
    paths = request.paths
    stored = runs.load(paths.run_json)
    if request.resume and stored is None:
        raise UsageError(f"{paths.root}: no run is here that could resume; leave out --resume")
    prepared = _prepare(request, stored)
    if stored is not None and is_finished(request, stored, prepared):
        say(
            f"{paths.root}: is finished ({stored.iteration} iterations); "
            "--resume --max-iter N takes it further, --name starts another"
        )
        return _summary(paths, prepared, say)
    max_norm = request.max_norm or (stored.max_norm if stored else None)
    if max_norm is not None:
        checks.require_rows(prepared)
    checks.require_classes(prepared)
    data = checks.require_data(prepared)
    warnings = list(checks.warnings(prepared))
    for weights in request.weights:
        warnings += checks.weights_taken(prepared, Path(weights))
    engine = discovery.find(request.engine, request.caffe_python)
    chosen = solvers.choose(request, stored.solvers if stored else None, engine, others.place)
    request = replace(request, solvers=chosen.count)
    prepared = replace(prepared, solvers=chosen.count)
    first_gpu = chosen.gpus[0] if chosen.gpus else None
    precision = request.precision or (stored.precision if stored else "float32")
    require_precision(precision, engine, first_gpu)
    if stored is None and first_gpu is None:
        memory.require(replace(prepared, solvers=chosen.here))
    if request.gpu is not None or request.gpus is not None:
        for gpu in chosen.gpus:
            devices.require(engine, gpu)
    checks.require_writable(paths)
    with lock.hold(paths):
        stored = runs.load(paths.run_json)  # as the last holder of the lock left it
        threads, kept_number = _threads(stored, chosen.threads)
        warnings += kept_number
        for warning in warnings:
            say(warning)
        while True:  # once, and once more where a warm-up goes before
            plan = decide(request, stored, prepared, data, engine, chosen)
            plan.run.threads = threads
            for note in plan.notes:
                say(note)
            say(plan.headline)
            result = _run(plan, say, others)
            if result is not None:
                return result
            stored = runs.load(paths.run_json)


def _threads(stored: Run | None, here: int) -> tuple[int, list[str]]:
    """How many threads a solver computes with, and what to say of it where that may surprise.

    Chosen once: sums are added up in another order on another number of threads.
    """
    if stored is None or not stored.threads or stored.threads == here:
        return here, []
    return stored.threads, [
        f"computes with {stored.threads} thread(s), as it was begun, so that its bits stay the "
        f"same; {here} would be used now"
    ]


def require_startable(request: TrainingRequest) -> None:
    """Raise what ``train`` would before anything is read at length: no data, say, or no engine.

    The device is not looked at: a job list's runs may be for another machine's.
    """
    stored = runs.load(request.paths.run_json)
    prepared = _prepare(request, stored)
    if stored is not None and is_finished(request, stored, prepared):
        return
    checks.require_sources(prepared)
    checks.require_classes(prepared)
    discovery.find(request.engine, request.caffe_python)


def _prepare(request: TrainingRequest, stored: Run | None) -> prepare.Prepared:
    overrides = dict(request.overrides)
    if stored is not None and request.resume:
        # a resumed run resumes with what it was begun with, unless told otherwise now
        overrides = {**stored.overrides, **overrides}
    prepared = prepare.load(request.solver, overrides)
    return replace(prepared, solvers=stored.solvers if stored else request.solvers or 1)


def _run(
    plan: Plan, say: Callable[[str], None], others: launched.OtherRanks
) -> dict[str, Any] | None:
    """One session, recorded.  The run's summary; None where its warm-up alone is done."""
    paths, prepared, run, first = plan.paths, plan.prepared, plan.run, plan.first
    _begin(plan)
    keeper = retention.Keeper(
        paths, prepared.solver.type, retention.KEEP if run.keep is None else run.keep
    )
    progress = Progress(
        prepared.net_name,
        first,
        run.max_iter,
        plan.request.quiet,
        on_record=plan.request.on_record,
    )
    seconds = plan.history[-1].get("seconds", 0.0) if plan.history else 0.0
    session = Session(
        plan.engine,
        _arguments(plan, others),
        paths,
        LogParser(prepared.effective_batch, seconds),
        progress,
        prepared.divergence_limit,
        first,
        keeper.take,
        run.threads,
    )
    outcome = Outcome(runs.FAILED, first, "ended by an error of the driver")
    warm = False
    try:
        with others.working(more=plan.is_warm_up):
            outcome = session.run()
    finally:
        progress.close()
        if outcome.state == runs.FAILED and memory.is_shortage(outcome.message):
            outcome.message += f"; {memory.advice(prepared)}"
        if plan.is_warm_up and outcome.state == runs.FINISHED:
            outcome.state, outcome.message = runs.STOPPED, "warmed up"
            warm = True
        _record(run, outcome, paths)
    if warm:
        return None
    if outcome.state == runs.FINISHED:
        return _summary(paths, prepared, say)
    raise _unfinished(run, outcome, paths)


def _begin(plan: Plan) -> None:
    """Write what a session needs in the run directory, then that it has begun."""
    paths, prepared, run, engine = plan.paths, plan.prepared, plan.run, plan.engine
    texts = prepared.texts(paths)
    for name, text in texts.items():
        files.write_text(Path(paths.root) / name, text)
    snapshots.unseal_after(paths.snapshots, plan.first)
    if plan.snapshot is None:
        paths.log.write_bytes(b"")
        for rank in range(1, plan.solvers.count):
            paths.rank_log(rank).unlink(missing_ok=True)
    else:
        resuming.write_to_log(paths, plan.snapshot, engine.name, plan.exact, plan.notes)
    run.max_iter = prepared.solver.max_iter
    run.effective_batch = prepared.effective_batch
    run.engine = {"name": engine.name, "version": engine.version, "python": engine.python}
    run.solvers = plan.solvers.count
    run.device = plan.solvers.device
    run.hashes = {name: runs.sha256(text) for name, text in texts.items()}
    run.command = list(plan.request.command)
    run.begin_session(
        plan.first,
        solver=(paths.warm_up if plan.is_warm_up else paths.solver).name,
        engine=engine.name,
        engine_version=engine.version,
        device=run.device,
        precision=run.precision,
    )
    run.save(paths.run_json)


def _arguments(plan: Plan, others: launched.OtherRanks) -> list[list[str]]:
    """Of each worker that starts here, rank 0's first."""
    shared, several = _shared_arguments(plan), plan.solvers
    if several.place:
        shared += others.arguments(more=plan.is_warm_up)
    found = []
    for rank in range(several.here):
        own = ["--gpu", str(several.gpus[rank])] if several.gpus else []
        if several.count > 1:
            own += ["--solvers", str(several.count), "--rank", str(rank)]
        found.append([*shared, *own])
    return found


def _shared_arguments(plan: Plan) -> list[str]:
    solver, last = plan.prepared.at(plan.first)
    file = plan.paths.warm_up if plan.is_warm_up else plan.paths.solver
    arguments = ["train", os.fspath(file)]
    if plan.run.precision != "float32":
        arguments += ["--precision", plan.run.precision]
    if plan.run.max_norm is not None:
        arguments += ["--max-norm", repr(plan.run.max_norm)]
    arguments += ["--net-name", plan.prepared.net_name, "--max-iter", str(last)]
    arguments += ["--display", str(solver.display), "--average-loss", str(solver.average_loss)]
    arguments += ["--test-interval", str(solver.test_interval)]
    for iterations in solver.test_iter:
        arguments += ["--test-iter", str(iterations)]
    arguments += ["--snapshot", str(solver.snapshot)]
    if plan.prepared.divergence_limit is not None:
        arguments += ["--divergence-limit", repr(plan.prepared.divergence_limit)]
    if plan.snapshot is None:
        for weights in plan.run.weights:
            arguments += ["--weights", weights]
    elif plan.exact:
        # this engine looks for the model beside the state; its hash is that of the complete state
        arguments += ["--restore", os.fspath(plan.snapshot.state), "--exactly"]
    else:
        arguments += ["--restore", os.fspath(snapshots.resumable_state(plan.snapshot))]
        for skip in resuming.skips(plan.prepared, plan.snapshot.iteration):
            arguments.append(f"--skip={skip}")
    return arguments


def _record(run: Run, outcome: Outcome, paths: RunPaths) -> None:
    iteration = outcome.iteration
    if outcome.state != runs.FINISHED:
        last = outcome.last_good if outcome.state == runs.DIVERGED else None
        found = [s.iteration for s in snapshots.snapshots(paths.snapshots)]
        found = [number for number in found if last is None or number <= last]
        iteration = found[-1] if found else 0
    if outcome.engine:
        run.sessions[-1]["worker"] = outcome.engine
        if "gpu_name" in outcome.engine:
            run.versions["gpu"] = outcome.engine["gpu_name"]
    run.last_loss = outcome.loss
    run.last_good = outcome.last_good if outcome.state == runs.DIVERGED else None
    run.end_session(outcome.state, iteration, outcome.message)
    run.save(paths.run_json)


def _summary(
    paths: RunPaths, prepared: prepare.Prepared, say: Callable[[str], None]
) -> dict[str, Any]:
    """The run's summary, its history made again from its log where that is damaged."""
    mended = resuming.mend_history(paths, prepared)
    if mended is not None:
        say(mended)
    return summary(paths)


def _unfinished(run: Run, outcome: Outcome, paths: RunPaths) -> TinynetError:
    """What to raise of a session that did not reach the end."""
    at = f"the snapshot of iteration {run.iteration}" if run.iteration else "the start"
    if outcome.state == runs.STOPPED:
        return StoppedEarly(
            f"{paths.root}: {outcome.message} at iteration {outcome.iteration} of {run.max_iter}; "
            f"the same command resumes it from {at}"
        )
    if outcome.state == runs.DIVERGED:
        return TinynetError(
            f"{paths.root}: diverged: {outcome.message}; start another run (--name) with a lower "
            f"base_lr, say a third, or a smaller std of the weight fillers; {at} is kept"
        )
    return TinynetError(f"{outcome.message}; the log is {paths.log}")
