"""Plans a training, from the request, the solver's files, the data and the run directory.

The run directory decides what happens:

fresh       it has no run: training starts at iteration 0
unfinished  training resumes from the newest whole snapshot, whichever engine wrote it
finished    nothing is left to do
changed     the prototxt or the data are not those that the run was begun with: refused
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinynet.engine import devices, discovery
from tinynet.engine.discovery import Engine
from tinynet.engine.precision import require_precision
from tinynet.errors import TinynetError, UsageError
from tinynet.launcher import LaunchedProcess
from tinynet.run import checks, compare, memory, snapshots, solvers, training_prototxt
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths
from tinynet.run.record import Run
from tinynet.run.request import TrainingRequest
from tinynet.run.solvers import Solvers
from tinynet.run.training_prototxt import TrainingPrototxt


@dataclass(frozen=True)
class Plan:
    """A training: its nets, engine and devices, and its record, which sessions write."""

    request: TrainingRequest
    prototxt: TrainingPrototxt
    engine: Engine
    solvers: Solvers
    stored: Run | None  # run.json as found; None: there was none
    run: Run
    warnings: list[str]

    @property
    def paths(self) -> RunPaths:
        return self.request.paths

    def headline(self, first: int) -> str:
        """Describe the session that starts at iteration ``first`` in one line."""
        prototxt, run = self.prototxt, self.run
        where = self.solvers.where
        if run.precision != "float32":
            where += f" in {run.precision}"
        if run.max_norm is not None:
            where += f", max-norm {run.max_norm:g}"
        batch = f"batch {prototxt.batch_size}"
        if prototxt.solver.iter_size > 1:
            batch += f" × iter_size {prototxt.solver.iter_size}"
        if run.solvers > 1:
            batch += f" × {run.solvers} solvers"
        if run.effective_batch > prototxt.batch_size:
            batch += f" = {run.effective_batch}"
        start = f"resuming at iteration {first}" if first else f"seed {run.seed}"
        solver, last = prototxt.at(first)
        to = f"to iteration {last}"
        if solver is prototxt.warm_up:
            to = f"warming up to iteration {last} of {run.max_iter}"
        return (
            f"{prototxt.net_name}: {self.engine} on {where}, {start}, {to}, {batch} images per "
            "update"
        )


def make(request: TrainingRequest, process: LaunchedProcess | None = None) -> Plan | None:
    """Read all that a training needs and plan it; None if its run is finished.

    ``process``: this process's rank, if a launcher has started a process for each solver.  Writes
    nothing.  Raises UsageError or TinynetError for everything that would make the training fail, as
    far as that can be known beforehand.
    """
    there = runs.load(request.paths.run_json)
    found = _unfinished(request, there)
    if found is None:
        return None
    stored, prototxt = found
    before = stored or Run(
        seed=prototxt.solver.random_seed,
        source=os.fspath(request.solver),
        weights=list(request.weights),
    )
    max_norm = request.max_norm or before.max_norm
    if max_norm is not None:
        checks.require_rows(prototxt)
    checks.require_classes(prototxt)
    data = checks.require_data(prototxt)
    warnings = list(checks.warnings(prototxt))
    for weights in request.weights:
        warnings += checks.weights_warnings(prototxt, Path(weights))
    engine = discovery.find(request.engine, request.caffe_python)
    chosen = solvers.choose(request, stored.solvers if stored else None, engine, process)
    first_gpu = chosen.gpus[0] if chosen.gpus else None
    precision = request.precision or before.precision
    require_precision(precision, engine, first_gpu)
    if first_gpu is None and not request.cpu and engine.name == "torch":
        why = devices.why_unused(engine.python)
        warnings += [why] if why else []
    if stored is None and first_gpu is None:
        memory.require(prototxt, chosen.here)
    if request.gpu is not None or request.gpus is not None:
        for gpu in chosen.gpus:
            devices.require(engine, gpu)
    if stored is None:
        _require_empty(request.paths)
    else:
        _require_same(request, stored, prototxt, data, chosen.count)
        warnings += _kept_threads(stored, chosen.threads)
    run = replace(
        before,
        max_iter=prototxt.solver.max_iter,
        effective_batch=prototxt.effective_batch * chosen.count,
        solvers=chosen.count,
        engine={"name": engine.name, "version": engine.version, "python": engine.python},
        device=chosen.device,
        max_norm=max_norm,
        precision=precision,
        threads=before.threads or chosen.threads,
        overrides={**before.overrides, **request.overrides},
        keep=before.keep if request.keep is None else request.keep,
        hashes={name: runs.sha256(text) for name, text in prototxt.texts(request.paths).items()},
        data=data,
        command=list(request.command),
        sessions=list(before.sessions),
    )
    return Plan(request, prototxt, engine, chosen, there, run, warnings)


def require_startable(request: TrainingRequest) -> None:
    """Raise what ``make`` would raise, as far as quick checks tell: no data, say, or no engine.

    The device is not checked: a job list's runs may be meant for another machine.
    """
    found = _unfinished(request, runs.load(request.paths.run_json))
    if found is not None:
        checks.require_sources(found[1])
        checks.require_classes(found[1])
        discovery.find(request.engine, request.caffe_python)


def _unfinished(
    request: TrainingRequest, stored: Run | None
) -> tuple[Run | None, TrainingPrototxt] | None:
    """The stored run (None if a new one begins) and the prototxt as requested now.

    None instead of both if the run is finished.
    """
    if request.resume and stored is None:
        raise UsageError(
            f"{request.paths.root}: no run is here that could resume; leave out --resume"
        )
    overrides = dict(request.overrides)
    if stored is not None and request.resume:
        # a resumed run keeps the overrides that it was begun with, unless new ones are given
        overrides = {**stored.overrides, **overrides}
    prototxt = training_prototxt.load(request.solver, overrides)
    if stored is not None and _is_finished(request, stored, prototxt):
        return None
    if stored is not None and not request.resume and _left_nothing(request.paths, stored):
        # it failed by a mistake in the net, say, which is mended now: a new run replaces it
        stored = None
    return stored, prototxt


def _left_nothing(paths: RunPaths, stored: Run) -> bool:
    """Whether a run failed before its first snapshot, so that nothing can be resumed."""
    return stored.state == runs.FAILED and not snapshots.snapshots(paths.snapshots)


def _is_finished(request: TrainingRequest, stored: Run, prototxt: TrainingPrototxt) -> bool:
    """Whether nothing is left to do.  Raises TinynetError if the run had other settings."""
    if stored.state != runs.FINISHED:
        return False
    data = stored.data
    with contextlib.suppress(TinynetError):  # of data that is gone nothing is known
        data = checks.require_data(prototxt)
    changes = _differences(request, stored, prototxt, data, request.solvers)
    longer = prototxt.solver.max_iter > stored.max_iter and request.resume
    if changes and not longer:
        raise _changed(request, changes, "finished")
    return not longer


def _require_empty(paths: RunPaths) -> None:
    """Raise TinynetError if the directory of a new run already holds snapshots."""
    if snapshots.snapshots(paths.snapshots):
        raise TinynetError(
            f"{paths.root}: holds snapshots but no run.json, so it is unclear which run they "
            "belong to; move them away or take another --name"
        )


def _require_same(
    request: TrainingRequest,
    stored: Run,
    prototxt: TrainingPrototxt,
    data: list[dict[str, Any]],
    count: int,
) -> None:
    """Raise TinynetError if an unfinished run cannot resume as requested."""
    changes = _differences(request, stored, prototxt, data, count)
    if request.resume:
        changes = [change for change in changes if not compare.is_schedule(change)]
    if changes:
        raise _changed(request, changes, "unfinished")
    if stored.state == runs.DIVERGED and not request.resume:
        raise TinynetError(
            f"{request.paths.root}: diverged ({stored.message}); start another run with a lower "
            "base_lr and --name, or resume from the last sound snapshot with --resume"
        )


def _differences(
    request: TrainingRequest,
    stored: Run,
    prototxt: TrainingPrototxt,
    data: list[dict[str, Any]],
    solvers: int | None,
) -> list[str]:
    """What training depends on and is not as the run was begun with, one phrase each.

    ``solvers``: how many; None as in the run.  Options that are not given are as in the run.
    """
    moved = compare.moved_data(stored.data, data)
    # what has been damaged since matters only to a run that is to resume
    hashes = None if stored.state == runs.FINISHED else stored.hashes
    found = compare.changes(request.paths, prototxt, moved, hashes)
    found += compare.data_changes(stored.data, data)
    found += [
        f"{name} {before} -> {now}"
        for name, before, now in (
            ("precision", stored.precision, request.precision),
            ("max-norm", stored.max_norm, request.max_norm),
            ("solvers", stored.solvers, solvers),
        )
        if now not in (None, before)
    ]
    if request.weights and list(request.weights) != stored.weights:
        found.append("--weights")
    return found


def _changed(request: TrainingRequest, changes: list[str], state: str) -> TinynetError:
    shown = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if changes[3:] else "")
    schedule = not request.resume and all(compare.is_schedule(change) for change in changes)
    way = "add --resume to resume it anyway" if schedule else "undo the change"
    return TinynetError(
        f"{request.paths.root}: holds a run that is {state} and was begun with other settings "
        f"({shown}); {way}, or start another run with --name"
    )


def _kept_threads(stored: Run, here: int) -> list[str]:
    """A warning if a run keeps another number of threads than would be used now.

    A run keeps its number: on another one, sums are added up in another order.
    """
    if not stored.threads or stored.threads == here:
        return []
    return [
        f"the run keeps the {stored.threads} thread(s) that it was begun with, so that its results "
        f"stay bit-identical; a new run would use {here}"
    ]
