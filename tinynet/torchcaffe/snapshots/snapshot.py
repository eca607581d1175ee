"""Snapshots in Caffe's own files: PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate.

With ``snapshot_format: HDF5`` their names end in ``.h5`` in addition.

Defined by ``Solver::Snapshot`` (src/caffe/solver.cpp) and ``SGDSolver::SnapshotSolverState``
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from tinynet import files
from tinynet.caffeformat import binary, blob_proto, schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, as_caffe_errors, check, require_file
from tinynet.torchcaffe.snapshots import complete_state, hdf5, weights


class SnapshottedSolver(complete_state.TrainedSolver, Protocol):
    """What a snapshot needs of a solver."""

    current_step: int
    resumable: bool

    @property
    def rank(self) -> int: ...

    @property
    def parameters(self) -> schema.SolverParameter: ...

    @property
    def history(self) -> Sequence[torch.Tensor]: ...

    def resume_at(self, iteration: int, current_step: int) -> None: ...


def _path(solver: SnapshottedSolver, extension: str) -> Path:
    return Path(f"{solver.parameters.snapshot_prefix}_iter_{solver.iter}{extension}")


def check_writable(solver: SnapshottedSolver) -> None:
    """Raise CaffeError before the long work starts if snapshots cannot be written."""
    if solver.parameters.snapshot_format == schema.SolverParameter.HDF5:
        hdf5.require()
    check(
        solver.parameters.HasField("snapshot_prefix"),
        "the solver has snapshot but no snapshot_prefix",
    )
    probe = _path(solver, ".tempfile")
    try:
        with open(probe, "wb"):
            pass
        os.remove(probe)
    except OSError as error:
        raise CaffeError(
            f"cannot write to snapshot_prefix '{solver.parameters.snapshot_prefix}': "
            f"{error.strerror}; make sure that the folder exists and is writable"
        ) from error


def write(solver: SnapshottedSolver) -> None:
    """Write the model, then the state that names it, so that no state is without its model.

    A resumable solver then writes its complete state, which is bound to the two by their hashes.
    Among several such solvers rank 0 writes it, and the others send it their parts.  Raises
    CaffeError for a solver of another rank that is not resumable.
    """
    if solver.rank:
        check(
            solver.together is not None,
            f"snapshot() is for the solver of rank 0, not {solver.rank}",
        )
        complete_state.contribute(solver)
        return
    is_hdf5 = solver.parameters.snapshot_format == schema.SolverParameter.HDF5
    model, state = (_write_hdf5 if is_hdf5 else _write_binary)(solver)
    if solver.resumable:
        complete_state.write(solver, state, {"model": model, "state": state})
    files.sync_folder(state.parent)


def _write_binary(solver: SnapshottedSolver) -> tuple[Path, Path]:
    model = _path(solver, ".caffemodel")
    glog.info(f"Snapshotting to binary proto file {model}")
    weights.save(solver.net.graph, model, solver.parameters.snapshot_diff)
    message = schema.SolverState(
        iter=solver.iter, learned_net=str(model), current_step=solver.current_step
    )
    path = _path(solver, ".solverstate")
    glog.info(f"Snapshotting solver state to binary proto file {path}")
    history = [(tensor.cpu().numpy(), None) for tensor in solver.history]
    files.write_bytes(path, blob_proto.encode_all(message, "history", history))
    return model, path


def _write_hdf5(solver: SnapshottedSolver) -> tuple[Path, Path]:
    model = _path(solver, ".caffemodel.h5")
    glog.info(f"Snapshotting to HDF5 file {model}")
    hdf5.save_weights(solver.net.graph, model, solver.parameters.snapshot_diff)
    path = _path(solver, ".solverstate.h5")
    glog.info(f"Snapshotting solver state to HDF5 file {path}")
    history = [tensor.cpu().numpy() for tensor in solver.history]
    hdf5.save_state(path, hdf5.State(solver.iter, solver.current_step, str(model), history))
    return model, path


def _find_model(learned_net: str, state_path: Path) -> Path:
    """The weights of a state: beside it, also when the run was moved, or at ``learned_net``.

    ``learned_net`` is relative to where the writer ran.
    """
    stated = Path(learned_net)
    beside = state_path.parent / stated.name
    for candidate in (beside, stated):
        if candidate.is_file():
            return candidate
    raise CaffeError(
        f"{state_path} needs the weights '{learned_net}', which are neither there nor beside it"
    )


def restore(solver: SnapshottedSolver, path: Path) -> None:
    """Restore iteration, weights and history from the .solverstate at ``path``.

    Raises CaffeError for a file of another kind, such as a .caffemodel, or of another net.
    """
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        raise CaffeError(
            f"{path} holds weights only; resume from the .solverstate beside it, "
            "or start from its weights with --weights"
        )
    require_file(path)
    state = _read(path)
    check(
        len(state.history) == len(solver.history),
        f"{path}: incorrect length of history: the file has {len(state.history)} blobs, "
        f"the solver {len(solver.history)}",
    )
    for i, (array, target) in enumerate(zip(state.history, solver.history)):
        check(
            array.size == target.numel(),
            f"{path}: history {i} has shape {array.shape}, the solver's {tuple(target.shape)}",
        )
    if state.learned_net:
        solver.net.copy_from(_find_model(state.learned_net, path))
    glog.info("SGDSolver: restoring history")
    for array, target in zip(state.history, solver.history):
        target.copy_(torch.from_numpy(array).reshape(target.shape))
    solver.resume_at(state.iteration, state.current_step)


def _read(path: Path) -> hdf5.State:
    if hdf5.is_hdf5(path):
        return hdf5.load_state(path)
    with as_caffe_errors():
        message = binary.read(path, schema.SolverState)
        history = [
            blob_proto.decode(stored, f"history {i} of {path}")
            for i, stored in enumerate(message.history)
        ]
    return hdf5.State(message.iter, message.current_step, message.learned_net, history)
