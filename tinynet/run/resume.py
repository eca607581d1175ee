"""Decides how a run resumes: from which snapshot and data position, and with which history.

The torch engine's complete state restores everything.  Real Caffe restarts every LMDB at its first
record.  How many batches its Data layers had given before the snapshot follows from the solver, so
running those layers alone brings them back to the right record (``skips``).  Random states are not
restored; ``not_restored`` names what is drawn anew because of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet import files
from tinynet.caffeformat import phases, schema, text
from tinynet.caffeformat.glog import OWN, glog_line
from tinynet.caffeformat.lmdb import open_store
from tinynet.errors import TinynetError
from tinynet.run import log as logs
from tinynet.run import record as runs
from tinynet.run import snapshots
from tinynet.run.paths import RunPaths
from tinynet.run.record import Run
from tinynet.run.snapshots import Snapshot
from tinynet.run.training_prototxt import TrainingPrototxt

_READERS = ("ImageData", "HDF5Data", "WindowData")  # layers whose position cannot be restored


def start(
    paths: RunPaths, run: Run, prototxt: TrainingPrototxt, engine: str
) -> tuple[Snapshot | None, bool, list[str]]:
    """Return the snapshot to resume from, whether it resumes exactly, and notes for the user.

    The snapshot is None if the run starts at iteration 0.  Raises TinynetError if it lies beyond
    max_iter.
    """
    solver = prototxt.solver
    last = run.last_good if run.state == runs.DIVERGED else None
    by_torch = bool(run.sessions) and run.sessions[-1].get("engine") == "torch"
    snapshot, reasons = snapshots.newest_whole(paths.snapshots, solver.type, last, by_torch)
    notes = [f"passed over {reason}" for reason in reasons]
    if snapshot is None:
        what = "no whole snapshot" if reasons else "no snapshot yet"
        notes.append(f"{paths.root}: has {what}; starting again at iteration 0")
        return None, False, notes
    if snapshot.iteration > solver.max_iter:
        raise TinynetError(
            f"{paths.root}: is at iteration {snapshot.iteration} already, beyond max_iter "
            f"{solver.max_iter}; give a larger --max-iter"
        )
    if engine == "torch" and snapshot.complete.exists():
        reason = snapshots.complete_fault(snapshot)
        if reason is None:
            return snapshot, True, notes
        notes.append(reason)
    anew = not_restored(prototxt)
    who = "real Caffe" if engine == "caffe" else "this snapshot"
    notes.append(
        f"{who} cannot restore random states: {', '.join(anew)} will not be those of an unbroken "
        "run; the data resumes where it was"
        if anew
        else "nothing in this net is drawn at random, and the data resumes where it was"
    )
    return snapshot, False, notes


def history_before(
    paths: RunPaths, run: Run, display: int, first: int
) -> tuple[list[logs.Record], list[str]]:
    """Cut the history at ``first``, mend it from the log, and return it with notes for the user.

    A kill may leave a record in the log only, and the file may have been damaged since.
    ``display``: that of the solver that runs now.
    """
    notes = []
    logs.cut_torn_line(paths.log)
    kept = logs.truncate_history(paths.history, first)
    rebuilt = logs.rebuild_history(paths.log, run.effective_batch) if first else []
    rebuilt = [record for record in rebuilt if record["iteration"] < first]
    if rebuilt and rebuilt != kept:
        differing = next(
            (a["iteration"] for a, b in zip(rebuilt, kept) if a != b),
            rebuilt[min(len(kept), len(rebuilt) - 1)]["iteration"],
        )
        notes.append(
            f"{paths.history.name} did not agree with {paths.log.name} from iteration {differing} "
            "on, and has been made from it again"
        )
        logs.write_history(paths.history, rebuilt)
        kept = rebuilt
    # earlier sessions may have displayed at another interval
    last_start = run.sessions[-1]["from"] if run.sessions else 0
    missing = logs.missing_displays(kept, display, first)
    missing = [iteration for iteration in missing if iteration >= last_start]
    if missing and _display_before(paths) == display:
        notes.append(
            f"the log has no losses of iteration {', '.join(map(str, missing[:5]))}"
            f"{' …' if missing[5:] else ''}: they were lost when the run was ended"
        )
    return kept, notes


def history_fault(paths: RunPaths) -> str | None:
    """What is wrong with a damaged history; None for a whole one."""
    return logs.scan_history(paths.history)[1]


def rebuild_damaged_history(paths: RunPaths, batch: int) -> str | None:
    """Rebuild a damaged history from its log; return a message for the user, or None.

    Hold the run meanwhile.  ``batch``: images per update.
    """
    fault = history_fault(paths)
    rebuilt = [] if fault is None else logs.rebuild_history(paths.log, batch)
    if not rebuilt:
        return None
    logs.write_history(paths.history, rebuilt)
    return f"{fault}; the file has been made from {paths.log.name} again"


def _display_before(paths: RunPaths) -> int | None:
    """The display interval of the last session, whose solver still lies in the run directory."""
    try:
        return int(text.read(paths.solver, schema.SolverParameter).display)
    except (TinynetError, OSError):
        return None


def write_to_log(
    paths: RunPaths, snapshot: Snapshot, engine: str, exact: bool, notes: Sequence[str]
) -> None:
    """Write to the log where the run resumes, and how it will differ from an unbroken one."""
    how = "exactly, from its complete state" if exact else "from Caffe's files alone"
    line = (
        f"{OWN}Resuming at iteration {snapshot.iteration} from {snapshot.state} on {engine}: {how}"
    )
    lines = [glog_line(line, "I" if exact else "W")]
    lines += [glog_line(OWN + note, "W") for note in notes]
    with files.name_in_errors(paths.log), paths.log.open("a", encoding="utf-8") as log:
        log.write("".join(line + "\n" for line in lines))


@dataclass(frozen=True)
class Skip:
    """The batches that a Data layer must give to return to its position before the resume."""

    net: int  # 0: the training net; K: the test net K - 1
    layer: str
    batches: int

    def __str__(self) -> str:
        return f"{self.net}:{self.layer}:{self.batches}"


def skips(prototxt: TrainingPrototxt, iteration: int, solvers: int = 1) -> list[Skip]:
    """The batches that each Data layer gave before ``iteration``, less whole rounds of its data."""
    found = []
    for net, given, layer in _data_layers(prototxt, iteration):
        parameter = layer.data_param
        records = 0
        if parameter.backend == schema.DataParameter.LMDB:
            with open_store(Path(parameter.source)) as store:
                records = len(store)
        if records and parameter.batch_size:
            # the position repeats once the records passed are a multiple of all records; in
            # training, each of several solvers also passes over the others' records
            passed = parameter.batch_size * (solvers if net == 0 else 1)
            given %= records // math.gcd(records, passed)
        found.append(Skip(net, layer.name, given))
    return found


def tests_before(solver: schema.SolverParameter, iteration: int) -> int:
    """How many tests the solver has run before ``iteration``."""
    every = solver.test_interval
    if every <= 0:
        return 0
    return len(range(0 if solver.test_initialization else every, iteration, every))


def not_restored(prototxt: TrainingPrototxt) -> list[str]:
    """What an inexact resume draws anew or starts anew; [] if nothing."""
    found = []
    layers = list(phases.layers_of(prototxt.train_net, schema.TRAIN))
    for layer in layers:
        if layer.type in _READERS:
            found.append(f"the position of layer '{layer.name}' ({layer.type})")
    transforms = [layer.transform_param for layer in layers]
    if any(transform.crop_size for transform in transforms):
        found.append("crops")
    if any(transform.mirror for transform in transforms):
        found.append("mirrors")
    if any(layer.type == "Dropout" for layer in layers):
        found.append("dropout masks")
    if any(layer.type == "Python" for layer in layers):
        found.append("what layers in Python draw")
    return found


def _data_layers(
    prototxt: TrainingPrototxt, iteration: int
) -> Iterator[tuple[int, int, schema.LayerParameter]]:
    """Yield (number of the net, batches given before ``iteration``, layer) for every Data layer."""
    solver = prototxt.solver
    tests = tests_before(solver, iteration)
    nets = [(prototxt.train_net, schema.TRAIN, iteration * solver.iter_size)]
    for index, net in enumerate(prototxt.test_nets):
        batches = solver.test_iter[index] if index < len(solver.test_iter) else 0
        nets.append((net, schema.TEST, tests * batches))
    for number, (net, phase, given) in enumerate(nets):
        for layer in phases.layers_of(net, phase):
            if layer.type == "Data":
                yield number, given, layer
