"""Snapshots in Caffe's own files: PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate.

Defined by ``Solver::Snapshot`` (src/caffe/solver.cpp) and ``SGDSolver::SnapshotSolverState``
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tinynet.prototxt import binary, schema
from tinynet.torchcaffe import blob_proto, glog
from tinynet.torchcaffe.errors import CaffeError, check

if TYPE_CHECKING:
    from tinynet.torchcaffe.solver import Solver


def _path(solver: Solver, extension: str) -> Path:
    return Path(f"{solver.param.snapshot_prefix}_iter_{solver.iter}{extension}")


def check_writable(solver: Solver) -> None:
    """Find out before the long work starts whether snapshots can be written."""
    if not solver.param.snapshot:
        return
    check(
        solver.param.HasField("snapshot_prefix"),
        "the solver gives snapshot but no snapshot_prefix",
    )
    probe = _path(solver, ".tempfile")
    try:
        with open(probe, "wb"):
            pass
        os.remove(probe)
    except OSError as error:
        raise CaffeError(
            f"cannot write to snapshot_prefix '{solver.param.snapshot_prefix}': "
            f"{error.strerror}; make sure that the folder exists and is writable"
        ) from error


def write(solver: Solver) -> None:
    """Write the model, then the state that names it: a state is never without its model."""
    if solver.param.snapshot_format != schema.SolverParameter.BINARYPROTO:
        raise CaffeError("snapshot_format: only BINARYPROTO is supported; HDF5 is not")
    model = _path(solver, ".caffemodel")
    glog.info("solver.cpp", f"Snapshotting to binary proto file {model}")
    solver.net.save(model)
    state = schema.SolverState(
        iter=solver.iter, learned_net=str(model), current_step=solver.current_step
    )
    path = _path(solver, ".solverstate")
    glog.info("sgd_solver.cpp", f"Snapshotting solver state to binary proto file {path}")
    arrays = [tensor.cpu().numpy() for tensor in solver.history]
    binary.write_bytes(path, blob_proto.encode_all(state, "history", arrays))


def _find_model(learned_net: str, state_path: Path) -> Path:
    """``learned_net`` is relative to where the writer ran; a moved run has it beside the state."""
    stated = Path(learned_net)
    beside = state_path.parent / stated.name
    for candidate in (beside, stated):
        if candidate.is_file():
            return candidate
    raise CaffeError(
        f"{state_path} needs the weights '{learned_net}', which are neither there nor beside it"
    )


def restore(solver: Solver, path: Path) -> None:
    """Set iteration, weights and history from the .solverstate at ``path``.

    Raises CaffeError for a file that is none, or that is of another net; says so if it is a
    .caffemodel.
    """
    if path.suffix == ".caffemodel":
        raise CaffeError(
            f"{path} holds weights only; resume from the .solverstate beside it, "
            "or start from its weights with --weights"
        )
    state = binary.read(path, schema.SolverState)
    check(
        len(state.history) == len(solver.history),
        f"{path}: incorrect length of history: the file has {len(state.history)} blobs, "
        f"the solver {len(solver.history)}",
    )
    arrays = []
    for i, (stored, target) in enumerate(zip(state.history, solver.history)):
        array = blob_proto.decode(stored, f"history {i} of {path}")
        check(
            array.size == target.numel(),
            f"{path}: history {i} has shape {array.shape}, the solver's {tuple(target.shape)}",
        )
        arrays.append(array)
    if state.learned_net:
        solver.net.copy_from(_find_model(state.learned_net, path))
    glog.info("sgd_solver.cpp", "SGDSolver: restoring history")
    for array, target in zip(arrays, solver.history):
        target.copy_(torch.from_numpy(array).reshape(target.shape))
    solver.iter = state.iter
    solver.current_step = state.current_step
