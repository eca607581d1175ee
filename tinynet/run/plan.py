"""Decides what a run directory needs.

fresh       nothing there: the prototxt is written and training starts at iteration 0
unfinished  resumes from the newest whole snapshot, whichever engine wrote it
finished    says so
changed     the prototxt or the data are not those that the run was begun with: refused
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinynet.engine.discovery import Engine
from tinynet.errors import TinynetError
from tinynet.run import checks, compare, prepare, snapshots
from tinynet.run import log as logs
from tinynet.run import record as runs
from tinynet.run import resume as resuming
from tinynet.run.log import Record
from tinynet.run.paths import RunPaths
from tinynet.run.record import Run
from tinynet.run.snapshots import Snapshot
from tinynet.run.solvers import Solvers


@dataclass(frozen=True)
class TrainingRequest:
    """What ``tinynet train`` was asked for."""

    solver: Path
    paths: RunPaths
    engine: str = "auto"
    caffe_python: str | None = None
    gpu: int | None = None
    gpus: str | None = None  # how many, their numbers with commas between, or "all"
    solvers: int | None = None  # that train together; None: one for each GPU, or as before, or 1
    cpu: bool = False
    precision: str | None = None  # float32, tf32, bf16; None: as before, or float32
    max_norm: float | None = None  # of each unit's incoming weights; None: as before, or no limit
    overrides: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False
    weights: Sequence[str] = ()
    keep: int | None = None  # snapshots; None: as before, or 3
    quiet: bool = False
    command: Sequence[str] = ()
    on_record: Callable[[Record], None] | None = None  # gets each record of the history


@dataclass
class Plan:
    """A session: what is trained on which engine and device, and from where it resumes."""

    request: TrainingRequest
    prepared: prepare.Prepared
    run: Run
    engine: Engine
    solvers: Solvers
    snapshot: Snapshot | None = None  # None: from iteration 0
    notes: list[str] = field(default_factory=list)
    exact: bool = False  # the snapshot's complete state is whole, and the engine can use it
    history: list[logs.Record] = field(default_factory=list)  # of the run before ``first``

    @property
    def paths(self) -> RunPaths:
        return self.request.paths

    @property
    def first(self) -> int:
        """The iteration that the session starts at."""
        return self.snapshot.iteration if self.snapshot else 0

    @property
    def is_warm_up(self) -> bool:
        """Whether the session is the warm-up's, by a solver of its own."""
        return self.prepared.at(self.first)[0] is self.prepared.warm_up

    @property
    def headline(self) -> str:
        """What is about to happen, with the effective batch."""
        prepared, run = self.prepared, self.run
        where = self.solvers.where
        if run.precision != "float32":
            where += f" in {run.precision}"
        if run.max_norm is not None:
            where += f", max-norm {run.max_norm:g}"
        batch = f"batch {prepared.batch_size}"
        if prepared.solver.iter_size > 1:
            batch += f" × iter_size {prepared.solver.iter_size}"
        if prepared.solvers > 1:
            batch += f" × {prepared.solvers} solvers"
        if prepared.effective_batch > prepared.batch_size:
            batch += f" = {prepared.effective_batch}"
        start = f"resuming at iteration {self.first}" if self.first else f"seed {run.seed}"
        to = f"to iteration {prepared.solver.max_iter}"
        if self.is_warm_up:
            last = prepared.at(self.first)[1]
            to = f"warming up to iteration {last} of {prepared.solver.max_iter}"
        return (
            f"{prepared.net_name}: {self.engine} on {where}, {start}, {to}, {batch} images per "
            "update"
        )


def is_finished(request: TrainingRequest, stored: Run, prepared: prepare.Prepared) -> bool:
    """Whether nothing is left to do.  Raises TinynetError where the run was another's."""
    if stored.state != runs.FINISHED:
        return False
    changes = compare.changes(request.paths, prepared)
    if changes:
        with contextlib.suppress(TinynetError):  # data that is not there has not moved
            moved = compare.moved_data(stored.data, checks.require_data(prepared))
            changes = compare.changes(request.paths, prepared, moved)
    changes += _changed_options(request, stored)
    longer = prepared.solver.max_iter > stored.max_iter and request.resume
    if changes and not longer:
        raise TinynetError(_changed(request, changes, "finished"))
    return not longer


def _changed_options(request: TrainingRequest, stored: Run) -> list[str]:
    """What changes how a run learns without being in its prototxt."""
    return [
        f"{name} {before} -> {now}"
        for name, before, now in (
            ("precision", stored.precision, request.precision),
            ("max-norm", stored.max_norm, request.max_norm),
            ("solvers", stored.solvers, request.solvers),
        )
        if now not in (None, before)
    ]


def _changed(request: TrainingRequest, changes: Sequence[str], state: str) -> str:
    shown = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if changes[3:] else "")
    schedule = not request.resume and all(compare.is_schedule(change) for change in changes)
    way = "add --resume to resume it all the same" if schedule else "undo the change"
    return (
        f"{request.paths.root}: holds a run that is {state} and was begun with other settings "
        f"({shown}); {way}, or start another run with --name"
    )


def decide(
    request: TrainingRequest,
    stored: Run | None,
    prepared: prepare.Prepared,
    data: list[dict[str, Any]],
    engine: Engine,
    solvers: Solvers,
) -> Plan:
    """What to do with the run directory, of which ``stored`` is the run.json (None: no run yet).

    ``data``: what ``checks.require_data`` found.  The history is cut where the session starts.
    Raises TinynetError where the directory holds another run.
    """
    run = _fresh(request, prepared, data) if stored is None else stored
    plan = Plan(request, prepared, run, engine, solvers)
    if stored is not None:
        _require_same(request, stored, prepared, data)
        plan.snapshot, plan.notes = _newest_snapshot(plan)
        stored.data = data  # where it lies now
        if request.keep is not None:
            stored.keep = request.keep
        if request.overrides:
            stored.overrides = {**stored.overrides, **request.overrides}
    if plan.snapshot is not None:
        plan.exact, notes = resuming.exactness(plan.snapshot, prepared, engine.name)
        plan.notes += notes
    last_start = run.sessions[-1]["from"] if run.sessions else 0
    plan.history, notes = resuming.history_before(plan.paths, prepared, plan.first, last_start)
    plan.notes += notes
    return plan


def _fresh(request: TrainingRequest, prepared: prepare.Prepared, data: list[dict[str, Any]]) -> Run:
    """A run that begins.  Raises TinynetError where its directory has another's snapshots."""
    paths = request.paths
    if snapshots.snapshots(paths.snapshots):
        raise TinynetError(
            f"{paths.root}: holds snapshots but no run.json, so it is unclear which run they "
            "belong to; move them away or take another --name"
        )
    return Run(
        seed=prepared.solver.random_seed,
        source=os.fspath(request.solver),
        overrides=dict(request.overrides),
        weights=list(request.weights),
        keep=request.keep,
        precision=request.precision or "float32",
        max_norm=request.max_norm,
        solvers=prepared.solvers,
        data=data,
    )


def _newest_snapshot(plan: Plan) -> tuple[Snapshot | None, list[str]]:
    """The snapshot that the run resumes from, None where it has none, and what to say of that."""
    run, solver, paths = plan.run, plan.prepared.solver, plan.paths
    last = run.last_good if run.state == runs.DIVERGED else None
    by_torch = bool(run.sessions) and run.sessions[-1].get("engine") == "torch"
    snapshot, reasons = snapshots.newest_whole(paths.snapshots, solver.type, last, by_torch)
    notes = [f"passed over {reason}" for reason in reasons]
    if snapshot is None:
        notes.append(f"{paths.root}: has no snapshot yet; starting again at iteration 0")
    elif snapshot.iteration > solver.max_iter:
        raise TinynetError(
            f"{paths.root}: is at iteration {snapshot.iteration} already, beyond max_iter "
            f"{solver.max_iter}; give a larger --max-iter"
        )
    return snapshot, notes


def _require_same(
    request: TrainingRequest, stored: Run, prepared: prepare.Prepared, data: list[dict[str, Any]]
) -> None:
    """Raise TinynetError where an unfinished run cannot resume as it is asked to."""
    paths = request.paths
    changes = compare.changes(paths, prepared, compare.moved_data(stored.data, data))
    changes += compare.data_changes(stored.data, data)
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
            "and --name, or resume from the last sound snapshot with --resume"
        )
