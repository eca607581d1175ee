"""Caffe's snapshots of a run: finding the newest whole one, and making it fit to resume from."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import TinynetError
from tinynet.prototxt import binary, schema

_NAME = re.compile(r"(.*)_iter_(\d+)\.solverstate$")
# history blobs per parameter, by solver type (the two that keep a second moment)
_SLOTS = {"adadelta": 2, "adam": 2}


@dataclass(frozen=True)
class Snapshot:
    """A ``.solverstate`` and the ``.caffemodel`` beside it, after ``iteration`` updates."""

    iteration: int
    state: Path
    model: Path


def snapshots(folder: Path) -> list[Snapshot]:
    """Every pair in a folder, oldest first, not looked into."""
    return sorted(_pairs(folder), key=lambda snapshot: snapshot.iteration)


def _pairs(folder: Path) -> Iterator[Snapshot]:
    for state in folder.glob("*.solverstate"):
        match = _NAME.match(state.name)
        model = state.with_suffix(".caffemodel")
        if match and model.exists():
            yield Snapshot(int(match[2]), state, model)


def fault(snapshot: Snapshot, solver_type: str = "SGD") -> str | None:
    """What keeps a snapshot from being whole, or None.

    Caffe writes straight to the final name, so that a kill or a full disk leaves a torn file,
    which may still parse: the wire format has no end mark.  ``current_step`` comes last in a
    solverstate, and a history that is longer than the parameters gives a torn model away.
    """
    try:
        state = binary.read(snapshot.state, schema.SolverState)
        net = binary.read(snapshot.model, schema.NetParameter)
    except (TinynetError, OSError) as error:
        return str(error)
    if not state.HasField("current_step") or state.iter != snapshot.iteration:
        return f"{snapshot.state}: is cut off, or not of iteration {snapshot.iteration}"
    parameters = [blob for layer in net.layer for blob in layer.blobs]
    held = sum(len(blob.data) for blob in parameters)
    history = sum(len(blob.data) for blob in state.history)
    if history > held * _SLOTS.get(solver_type.lower(), 1) or not held:
        return f"{snapshot.model}: is cut off ({held} values, the solver's history has {history})"
    # one sum over each blob is cheap, and a single NaN or infinity makes it one
    if not all(math.isfinite(sum(blob.data)) for blob in parameters):
        return f"{snapshot.model}: holds values that are not finite (the run had diverged)"
    return None


def newest_whole(
    folder: Path, solver_type: str = "SGD", last: int | None = None
) -> tuple[Snapshot | None, list[str]]:
    """The newest snapshot that is whole (at most of iteration ``last``), and why newer ones fell.

    (None, reasons) where there is none.
    """
    reasons: list[str] = []
    for snapshot in reversed(snapshots(folder)):
        if last is not None and snapshot.iteration > last:
            reasons.append(f"{snapshot.state}: comes after iteration {last}, the last sound one")
            continue
        reason = fault(snapshot, solver_type)
        if reason is None:
            return snapshot, reasons
        reasons.append(reason)
    return None, reasons


def resumable_state(snapshot: Snapshot) -> Path:
    """A solverstate whose ``learned_net`` leads to the model beside it, seen from here.

    Caffe stores that path relative to where it ran, so that a moved run, or a command from
    elsewhere, would not find the model, or find another.  Where it leads astray, a corrected copy
    is written (``resume.solverstate`` in the same folder) and its path returned.
    """
    state = binary.read(snapshot.state, schema.SolverState)
    learned = Path(state.learned_net)
    try:
        if state.learned_net and learned.samefile(snapshot.model):
            return snapshot.state
    except OSError:
        pass
    state.learned_net = os.fspath(snapshot.model)
    corrected = snapshot.state.with_name("resume.solverstate")
    binary.write(corrected, state)
    return corrected


def require_whole_model(path: Path) -> None:
    """Raise TinynetError where ``path`` is no .caffemodel that weights can be taken from."""
    if path.suffix == ".solverstate":
        raise TinynetError(
            f"{path}: is a solver's state; --weights takes the .caffemodel beside it, and a run "
            "goes on with --resume"
        )
    if not path.exists():
        raise TinynetError(f"{path}: no such file of weights")
    net = binary.read(path, schema.NetParameter)
    if not any(layer.blobs for layer in net.layer) and not any(la.blobs for la in net.layers):
        raise TinynetError(f"{path}: holds no layer with weights")
