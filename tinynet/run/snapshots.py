"""Caffe's snapshots of a run: sealing them, deleting old ones, and finding the newest whole one.

A snapshot is Caffe's pair, ``PREFIX_iter_N.caffemodel`` and ``.solverstate``; the torch engine adds
``PREFIX_iter_N.complete.json``, without which a run cannot resume exactly.  Once a snapshot is
known to be whole it gets a seal, ``PREFIX_iter_N.sha256``, in the format of ``sha256sum -c``: any
later change of its files is detected.  Real Caffe writes in place, so only the seal tells a
finished snapshot from one that a kill or a full disk cut short.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet import files
from tinynet.caffeformat import binary, schema, upgrade
from tinynet.errors import TinynetError, os_error_message

_LARGEST = 64 << 20  # bytes of a complete state; a usual one has 25 KB
_SEALED = re.compile(r"([0-9a-f]{64})  ([^/\n]+)")
_NAME = re.compile(r"(.*)_iter_(\d+)\.solverstate$")
# history blobs per parameter of the solver types that have more than one
_HISTORY_BLOBS = {"adadelta": 2, "adam": 2}


@dataclass(frozen=True)
class Snapshot:
    """A ``.solverstate`` and the ``.caffemodel`` beside it, after ``iteration`` updates."""

    iteration: int
    state: Path
    model: Path

    @property
    def complete(self) -> Path:
        """The torch engine's complete state, from which a run resumes exactly."""
        return self.state.with_suffix(".complete.json")

    @property
    def seal(self) -> Path:
        """The hashes of the files, written once they are known to be whole."""
        return self.state.with_suffix(".sha256")

    @property
    def files(self) -> list[Path]:
        """Those of its files that exist, without the seal."""
        return [path for path in (self.model, self.state, self.complete) if path.exists()]


def snapshots(folder: Path) -> list[Snapshot]:
    """Every pair in a folder, oldest first; the files are not read."""
    return sorted(_pairs(folder), key=lambda snapshot: snapshot.iteration)


def _pairs(folder: Path) -> Iterator[Snapshot]:
    for state in folder.glob("*.solverstate"):
        match = _NAME.match(state.name)
        model = state.with_suffix(".caffemodel")
        if match and model.exists():
            yield Snapshot(int(match[2]), state, model)


def seal(snapshot: Snapshot, solver_type: str = "SGD") -> str | None:
    """Check that a snapshot just written is whole, sync it to the disk, and write its seal.

    Returns None, or what is wrong with a snapshot that is not whole; that one gets no seal.  Raises
    OSError (a full disk).
    """
    hashes = {path: files.sha256_of(path) for path in snapshot.files}
    reason = _pair_fault(snapshot, solver_type) or complete_fault(snapshot, hashes)
    if reason is not None:
        return reason
    for path in hashes:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    lines = "".join(f"{digest}  {path.name}\n" for path, digest in hashes.items())
    files.write_bytes(snapshot.seal, lines.encode("utf-8"))
    files.sync_folder(snapshot.seal.parent)
    return None


def fault(snapshot: Snapshot, solver_type: str = "SGD", pair_only: bool = False) -> str | None:
    """Return what is wrong with a snapshot, or None if it is whole.

    If it has a seal, the hashes decide.  If not (a kill came before it, or ``caffe train`` wrote
    the snapshot), the files are parsed.  ``pair_only``: the complete state may be missing or
    damaged.  Raises TinynetError if the files cannot be read at the moment: to skip the snapshot
    would resume from an older one and overwrite all that follows it.
    """
    try:
        if not snapshot.seal.exists():
            reason = _pair_fault(snapshot, solver_type)
            if reason is None and not pair_only:
                reason = complete_fault(snapshot)
            return reason
        return _broken_seal(snapshot, pair_only)
    except FileNotFoundError as error:  # a training just deleted it while its run is evaluated
        return f"{error.filename or snapshot.state}: {error.strerror}"
    except OSError as error:
        where = error.filename or os.fspath(snapshot.state)
        said = os_error_message(OSError(error.errno, error.strerror, where))
        raise TinynetError(
            f"{said}: whether this snapshot is whole cannot be told; run the command again, or "
            "move its files away to take an older one"
        ) from None


def _broken_seal(snapshot: Snapshot, pair_only: bool) -> str | None:
    lines = snapshot.seal.read_text(encoding="utf-8", errors="replace").splitlines()
    stated = {match[2]: match[1] for line in lines if (match := _SEALED.fullmatch(line))}
    known = {path.name for path in (snapshot.model, snapshot.state, snapshot.complete)}
    here = {path.name for path in snapshot.files}
    if len(stated) != len(lines) or not here <= set(stated) <= known:
        return f"{snapshot.seal}: is damaged"
    for path in (snapshot.model, snapshot.state, snapshot.complete):
        if path.name not in stated or (pair_only and path == snapshot.complete):
            continue
        if not path.exists():
            return f"{path}: is missing"
        if files.sha256_of(path) != stated[path.name]:
            return f"{path}: is not what was written (its SHA-256 differs)"
    return None


def complete_fault(snapshot: Snapshot, hashes: dict[Path, str] | None = None) -> str | None:
    """Return what is wrong with the complete state; None if it is whole or there is none.

    ``hashes``: SHA-256 of the snapshot's files, where they are known already.
    """
    path = snapshot.complete
    if not path.exists():
        return None
    try:
        content = files.read_sealed_json(path, _LARGEST)
        if content["iteration"] != snapshot.iteration:
            return f"{path}: is of iteration {content['iteration']}"
        for key, file in (("model", snapshot.model), ("state", snapshot.state)):
            found = hashes[file] if hashes else files.sha256_of(file)
            if content["files"][key]["sha256"] != found:
                return f"{path}: belongs to another {file.name} than the one beside it"
    except TinynetError as error:
        return str(error)
    except (KeyError, TypeError) as error:
        return f"{path}: is not a complete state ({error!r})"
    return None


def _pair_fault(snapshot: Snapshot, solver_type: str) -> str | None:
    """Return what is wrong with Caffe's pair, as far as its own files show; None if nothing is.

    Caffe writes straight to the final name, so a kill or a full disk leaves a torn file, which may
    still parse: the wire format has no end mark.  A torn solverstate lacks ``current_step``, its
    last field; a torn model has fewer values than the solver's history.
    """
    try:
        state = binary.read(snapshot.state, schema.SolverState)
        net = binary.read(snapshot.model, schema.NetParameter)
    except TinynetError as error:
        return str(error)
    if not state.HasField("current_step") or state.iter != snapshot.iteration:
        return f"{snapshot.state}: is cut off, or not of iteration {snapshot.iteration}"
    parameters = [blob for layer in net.layer for blob in layer.blobs]
    held = sum(len(blob.data) for blob in parameters)
    history = sum(len(blob.data) for blob in state.history)
    if history > held * _HISTORY_BLOBS.get(solver_type.lower(), 1) or not held:
        return f"{snapshot.model}: is cut off ({held} values, the solver's history has {history})"
    # one sum over each blob is cheap, and a single NaN or infinity makes the sum non-finite
    if not all(math.isfinite(np.sum(blob.data, dtype=np.float64)) for blob in parameters):
        return f"{snapshot.model}: holds values that are not finite (the run had diverged)"
    return None


def newest_whole(
    folder: Path, solver_type: str = "SGD", last: int | None = None, by_torch: bool = False
) -> tuple[Snapshot | None, list[str]]:
    """Find the newest whole snapshot, and say why each newer one was passed over.

    If none is whole, returns the newest one whose pair of Caffe's is whole, and if there is none of
    these either, (None, reasons).  ``last``: snapshots of later iterations do not count.
    ``by_torch``: the torch engine ran the last session, so that a snapshot with neither seal nor
    complete state was cut short before the latter.  Raises as ``fault`` does.
    """
    reasons: list[str] = []
    newest_pair = None
    for snapshot in reversed(snapshots(folder)):
        if last is not None and snapshot.iteration > last:
            reasons.append(f"{snapshot.state}: comes after iteration {last}, the last sound one")
            continue
        reason = fault(snapshot, solver_type)
        is_bare = not (snapshot.seal.exists() or snapshot.complete.exists())
        if reason is None and by_torch and is_bare:
            reason = f"{snapshot.complete}: is missing, so the writing was cut short"
        if reason is None:
            return snapshot, reasons
        reasons.append(reason)
        if newest_pair is None and fault(snapshot, solver_type, pair_only=True) is None:
            newest_pair = snapshot
    return newest_pair, reasons


def prune(folder: Path, keep: int, best: Snapshot | None) -> None:
    """Delete all sealed snapshots except the newest ``keep`` (0 keeps all) and the best.

    Snapshots without a seal are neither counted nor deleted.
    """
    sealed = sorted(_sealed(folder), key=lambda snapshot: snapshot.iteration)
    whole = [snapshot for snapshot in sealed if len(snapshot.files) >= 2]
    kept = [*(whole[-keep:] if keep else whole), best]
    for snapshot in sealed:
        if snapshot not in kept:
            _remove(snapshot)


def remove_after(folder: Path, iteration: int) -> None:
    """Delete the sealed snapshots after ``iteration``, where a run is about to resume.

    They are damaged or diverged, or the run would resume from them, and will be written again.
    Without a seal they would count as whole after a kill.
    """
    for snapshot in _sealed(folder):
        if snapshot.iteration > iteration:
            _remove(snapshot)


def _remove(snapshot: Snapshot) -> None:
    # the seal last: whatever a kill leaves still has one, and is deleted the next time
    for path in (snapshot.complete, snapshot.state, snapshot.model, snapshot.seal):
        path.unlink(missing_ok=True)


def _sealed(folder: Path) -> Iterator[Snapshot]:
    for path in folder.glob("*.sha256"):
        state = path.with_suffix(".solverstate")
        if match := _NAME.match(state.name):
            yield Snapshot(int(match[2]), state, state.with_suffix(".caffemodel"))


def resumable_state(snapshot: Snapshot) -> Path:
    """Return a solverstate whose ``learned_net`` leads from here to the model beside it.

    Caffe stores that path relative to its working directory, so a moved run, or a command run from
    another folder, would find no model or the wrong one.  In that case a corrected copy,
    ``resume.solverstate``, is written to the same folder, and its path is returned.
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


def require_whole_model(path: Path) -> list[str]:
    """Return the names of the layers that have weights in the .caffemodel at ``path``.

    Raises TinynetError if it is not a .caffemodel, or has no weights.
    """
    if path.suffix == ".solverstate":
        raise TinynetError(
            f"{path}: is a solver's state; --weights takes the .caffemodel beside it, and a run "
            "resumes with --resume"
        )
    if not path.exists():
        raise TinynetError(f"{path}: no such file of weights")
    net = upgrade.read_model(path)
    names = [layer.name for layer in net.layer if len(layer.blobs)]
    if not names:
        raise TinynetError(f"{path}: holds no layer with weights")
    return names
