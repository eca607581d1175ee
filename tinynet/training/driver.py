"""Trains: decides what a run directory needs, starts a session, and records how it ended.

fresh       nothing there: the prototxt is written and training starts at iteration 0
unfinished  goes on from the newest whole snapshot, whichever engine wrote it
finished    says so
changed     the prototxt or the data are not those that the run was begun with: refused
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinynet import engines
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.paths import RunPaths
from tinynet.training import checks, compare, lock, memory, positions, prepare, retention, snapshots
from tinynet.training import log as logs
from tinynet.training import resume as resuming
from tinynet.training import run as runs
from tinynet.training.log import LogParser, read_history
from tinynet.training.progress import Progress
from tinynet.training.run import Run
from tinynet.training.session import Outcome, Session
from tinynet.training.snapshots import Snapshot


@dataclass(frozen=True)
class Request:
    """What ``tinynet train`` was asked for."""

    solver: Path
    paths: RunPaths
    engine: str = "auto"
    caffe_python: str | None = None
    gpu: int | None = None
    cpu: bool = False
    precision: str | None = None  # float32, tf32, bf16; None: as before, or float32
    max_norm: float | None = None  # of each unit's incoming weights; None: as before, or no limit
    overrides: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False
    weights: Sequence[str] = ()
    keep: int | None = None  # snapshots; None: as before, or 3
    quiet: bool = False
    command: Sequence[str] = ()


@dataclass
class _Plan:
    """What the run directory needs."""

    run: Run
    prepared: prepare.Prepared
    snapshot: Snapshot | None  # None: from iteration 0
    notes: list[str]
    exact: bool = False  # the snapshot's complete state is whole, and the engine can use it


def train(request: Request, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry a run to its end, and return its summary (see ``summary``).

    ``say`` gets each message for the user, a line each.  Raises StoppedEarly after a signal,
    TinynetError where the run cannot start, fails or diverges.
    """
    paths = request.paths
    stored = runs.load(paths.run_json)
    if request.resume and stored is None:
        raise UsageError(f"{paths.root}: no run is here that could go on; leave out --resume")
    prepared = _prepare(request, stored)
    if stored is not None and _is_finished(request, stored, prepared):
        say(
            f"{paths.root}: is finished ({stored.iteration} iterations); "
            "--resume --max-iter N takes it further, --name starts another"
        )
        return summary(paths)
    max_norm = request.max_norm or (stored.max_norm if stored else None)
    if max_norm is not None:
        checks.require_rows(prepared)
    data = checks.require_data(prepared)
    warnings = list(checks.warnings(prepared))
    for weights in request.weights:
        snapshots.require_whole_model(Path(weights))
    engine = engines.find(request.engine, request.caffe_python)
    gpu = _device(request, engine)
    precision = request.precision or (stored.precision if stored else "float32")
    engines.require_precision(precision, engine, gpu)
    if stored is None:
        memory.require(prepared, gpu is not None)
    checks.require_writable(paths)
    with lock.hold(paths):
        stored = runs.load(paths.run_json)  # as the last holder of the lock left it
        if precision == "bf16" and gpu is None and not engines.cpu_has_bfloat16():
            warnings.append(
                "this processor has no bfloat16 instructions: bf16 will be many times slower than "
                "float32 here; train on a GPU, or start another run without --precision"
            )
        for warning in warnings:
            say(warning)
        while True:  # once, and once more where a warm-up goes before
            plan = _plan(request, stored, prepared, data)
            kept = _before(plan, paths, engine.name)
            for note in plan.notes:
                say(note)
            say(_headline(plan, engine, gpu))
            result = _run(request, plan, engine, gpu, kept, say)
            if result is not None:
                return result
            stored = runs.load(paths.run_json)


def _before(plan: _Plan, paths: RunPaths, engine: str) -> list[logs.Record]:
    """How exactly a run goes on, noted in the plan, and its history so far."""
    if plan.snapshot is not None:
        plan.exact, notes = resuming.exactness(plan.snapshot, plan.prepared, engine)
        plan.notes += notes
    kept, notes = resuming.history_before(
        paths,
        plan.prepared,
        plan.snapshot.iteration if plan.snapshot else 0,
        plan.run.sessions[-1]["from"] if plan.run.sessions else 0,
    )
    plan.notes += notes
    return kept


def _prepare(request: Request, stored: Run | None) -> prepare.Prepared:
    overrides = dict(request.overrides)
    if stored is not None and request.resume:
        # a resumed run goes on with what it was begun with, unless told otherwise now
        overrides = {**stored.overrides, **overrides}
    return prepare.load(request.solver, overrides)


def _is_finished(request: Request, stored: Run, prepared: prepare.Prepared) -> bool:
    if stored.state != runs.FINISHED:
        return False
    changes = compare.changes(request.paths, prepared)
    changes += _changed_options(request, stored)
    longer = prepared.solver.max_iter > stored.max_iter and request.resume
    if changes and not longer:
        raise TinynetError(_changed(request, changes, "finished"))
    return not longer


def _changed_options(request: Request, stored: Run) -> list[str]:
    """What changes how a run learns without being in its prototxt."""
    return [
        f"{name} {before} -> {now}"
        for name, before, now in (
            ("precision", stored.precision, request.precision),
            ("max-norm", stored.max_norm, request.max_norm),
        )
        if now not in (None, before)
    ]


def _changed(request: Request, changes: Sequence[str], state: str) -> str:
    shown = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if changes[3:] else "")
    schedule = not request.resume and all(compare.is_schedule(change) for change in changes)
    way = "add --resume to go on with it all the same" if schedule else "undo the change"
    return (
        f"{request.paths.root}: holds a run that is {state} and was begun with other settings "
        f"({shown}); {way}, or start another run with --name"
    )


def _device(request: Request, engine: engines.Engine) -> int | None:
    """The GPU's number, or None for the CPU: asked for, or where torch sees one, the first."""
    if request.gpu is not None or request.cpu:
        return request.gpu
    return 0 if engine.name == "torch" and engines.cuda_devices(engine.python) else None


def _plan(
    request: Request, stored: Run | None, prepared: prepare.Prepared, data: list[dict[str, Any]]
) -> _Plan:
    paths = request.paths
    if stored is None:
        if snapshots.snapshots(paths.snapshots):
            raise TinynetError(
                f"{paths.root}: holds snapshots but no run.json, so it is unclear which run they "
                "belong to; move them away or take another --name"
            )
        run = Run(
            seed=prepared.solver.random_seed,
            source=os.fspath(request.solver),
            overrides=dict(request.overrides),
            weights=list(request.weights),
            keep=request.keep,
            precision=request.precision or "float32",
            max_norm=request.max_norm,
            data=data,
        )
        return _Plan(run, prepared, None, [])
    changes = compare.changes(paths, prepared) + compare.data_changes(stored.data, data)
    changes += compare.damaged_copies(paths, prepared, stored.hashes)
    changes += _changed_options(request, stored)
    if request.resume:
        changes = [change for change in changes if not compare.is_schedule(change)]
    if changes:
        raise TinynetError(_changed(request, changes, "unfinished"))
    if request.weights and list(request.weights) != stored.weights:
        raise TinynetError(_changed(request, ["--weights"], "unfinished"))
    if stored.state == runs.DIVERGED and not request.resume:
        raise TinynetError(
            f"{paths.root}: diverged ({stored.message}); start another run with a lower base_lr "
            "and --name, or go on from the last sound snapshot with --resume"
        )
    last = stored.last_good if stored.state == runs.DIVERGED else None
    by_torch = bool(stored.sessions) and stored.sessions[-1].get("engine") == "torch"
    snapshot, reasons = snapshots.newest_whole(
        paths.snapshots, prepared.solver.type, last, by_torch
    )
    notes = [f"passed over {reason}" for reason in reasons]
    if snapshot is None:
        notes.append(f"{paths.root}: has no snapshot yet; starting again at iteration 0")
    elif snapshot.iteration > prepared.solver.max_iter:
        raise TinynetError(
            f"{paths.root}: is at iteration {snapshot.iteration} already, beyond max_iter "
            f"{prepared.solver.max_iter}; give a larger --max-iter"
        )
    if request.keep is not None:
        stored.keep = request.keep
    if request.overrides:
        stored.overrides = {**stored.overrides, **request.overrides}
    return _Plan(stored, prepared, snapshot, notes)


def _headline(plan: _Plan, engine: engines.Engine, gpu: int | None) -> str:
    """What is about to happen, with the effective batch."""
    prepared = plan.prepared
    first = plan.snapshot.iteration if plan.snapshot else 0
    where = "CPU" if gpu is None else f"GPU {gpu}"
    if plan.run.precision != "float32":
        where += f" in {plan.run.precision}"
    if plan.run.max_norm is not None:
        where += f", max-norm {plan.run.max_norm:g}"
    batch = f"batch {prepared.batch_size}"
    if prepared.solver.iter_size > 1:
        batch += f" × iter_size {prepared.solver.iter_size} = {prepared.effective_batch}"
    goes = f"resuming at iteration {first}" if first else f"seed {plan.run.seed}"
    solver, last = prepared.at(first)
    to = f"to iteration {prepared.solver.max_iter}"
    if solver is prepared.warm_up:
        to = f"warming up to iteration {last} of {prepared.solver.max_iter}"
    return f"{prepared.net_name}: {engine} on {where}, {goes}, {to}, {batch} pictures per update"


def _run(
    request: Request,
    plan: _Plan,
    engine: engines.Engine,
    gpu: int | None,
    kept: Sequence[logs.Record],
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """One session, recorded.  The run's summary; None where its warm-up alone is done."""
    paths, prepared, run = request.paths, plan.prepared, plan.run
    first = plan.snapshot.iteration if plan.snapshot else 0
    texts = prepared.texts(paths)
    for name, text in texts.items():
        (Path(paths.root) / name).write_text(text, encoding="utf-8")
    snapshots.unseal_after(paths.snapshots, first)
    if plan.snapshot is None:
        paths.log.write_bytes(b"")
    else:
        resuming.write_to_log(paths, plan.snapshot, engine.name, plan.exact, plan.notes)
    run.max_iter = prepared.solver.max_iter
    run.effective_batch = prepared.effective_batch
    run.engine = {"name": engine.name, "version": engine.version, "python": engine.python}
    run.device = "cpu" if gpu is None else f"gpu {gpu}"
    run.hashes = {name: runs.sha256(text) for name, text in texts.items()}
    run.command = list(request.command)
    solver, last = prepared.at(first)
    is_warm_up = solver is prepared.warm_up
    run.begin_session(
        first,
        solver=(paths.warm_up if is_warm_up else paths.solver).name,
        engine=engine.name,
        engine_version=engine.version,
        device=run.device,
        precision=run.precision,
    )
    run.save(paths.run_json)

    keeper = retention.Keeper(
        paths, prepared.solver.type, retention.KEEP if run.keep is None else run.keep
    )
    progress = Progress(prepared.net_name, first, run.max_iter, request.quiet)
    seconds = kept[-1].get("seconds", 0.0) if kept else 0.0
    session = Session(
        engine,
        _arguments(request, plan, gpu),
        paths,
        LogParser(prepared.effective_batch, seconds),
        progress,
        prepared.divergence_limit,
        first,
        keeper.take,
    )
    outcome = Outcome(runs.FAILED, first, "ended by an error of the driver")
    warm = False
    try:
        outcome = session.run()
    finally:
        progress.close()
        if outcome.state == runs.FAILED and memory.is_shortage(outcome.message):
            outcome.message += f"; {memory.advice(prepared)}"
        if is_warm_up and outcome.state == runs.FINISHED:
            outcome.state, outcome.message = runs.STOPPED, "warmed up"
            warm = True
        _record(run, outcome, paths)
    if warm:
        return None
    return _conclude(run, outcome, paths, say)


def _arguments(request: Request, plan: _Plan, gpu: int | None) -> list[str]:
    solver, last = plan.prepared.at(plan.snapshot.iteration if plan.snapshot else 0)
    is_warm_up = solver is plan.prepared.warm_up
    file = request.paths.warm_up if is_warm_up else request.paths.solver
    arguments = ["train", os.fspath(file)]
    if gpu is not None:
        arguments += ["--gpu", str(gpu)]
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
        for skip in positions.skips(plan.prepared, plan.snapshot.iteration):
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
    run.last_good = outcome.last_good if outcome.state == runs.DIVERGED else None
    run.end_session(outcome.state, iteration, outcome.message)
    run.save(paths.run_json)


def _conclude(
    run: Run, outcome: Outcome, paths: RunPaths, say: Callable[[str], None]
) -> dict[str, Any]:
    if outcome.state == runs.FINISHED:
        return summary(paths)
    at = f"the snapshot of iteration {run.iteration}" if run.iteration else "the start"
    if outcome.state == runs.STOPPED:
        raise StoppedEarly(
            f"{paths.root}: {outcome.message} at iteration {outcome.iteration} of {run.max_iter}; "
            f"the same command goes on from {at}"
        )
    if outcome.state == runs.DIVERGED:
        raise TinynetError(
            f"{paths.root}: diverged: {outcome.message}; start another run (--name) with a lower "
            f"base_lr, say a third, or a smaller std of the weight fillers; {at} is kept"
        )
    raise TinynetError(f"{outcome.message}; the log is {paths.log}")


def summary(paths: RunPaths) -> dict[str, Any]:
    """What a run has come to: state, last and best scores, where its snapshot is."""
    run = runs.load(paths.run_json)
    if run is None:
        raise TinynetError(f"{paths.root}: holds no run (no run.json)")
    result: dict[str, Any] = {
        "run": os.fspath(paths.root),
        "state": run.state,
        "engine": run.engine.get("name", ""),
        "device": run.device,
        "seed": run.seed,
        "iteration": run.iteration,
        "max_iter": run.max_iter,
    }
    history = read_history(paths.history)
    for key in ("train_loss", "val_loss", "val_accuracy", "val_accuracy_top5"):
        values = [record[key] for record in history if record.get(key) is not None]
        if values:
            result[key] = values[-1]
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
        kept = retention.best_iteration(history, [snapshot.iteration for snapshot in found])
        if kept is not None:
            result["best_snapshot"] = os.fspath(retention.at(found, kept).model)
    return result
