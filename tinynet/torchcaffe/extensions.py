"""What this engine can do beyond pycaffe: ``caffe.extensions``, which real Caffe does not have.

A caller tries ``getattr(caffe, "extensions", None)`` and, if that is None, uses pycaffe alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tinynet.caffeformat import image_records
from tinynet.torchcaffe import acceleration, max_norm, no_kernels, parallel, precision
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.signals import SolverAction
from tinynet.torchcaffe.snapshots import complete_state

if TYPE_CHECKING:
    from tinynet.torchcaffe.solver import Solver


# what other modules define, and document
set_precision = precision.set_precision
without_kernels, host_time = no_kernels.without_kernels, no_kernels.HostTime
told_by_rank_0 = parallel.told_by_rank_0


def __getattr__(name: str) -> Any:
    """The extensions that ``fast/`` adds unless it is switched off: ``view_predictor``."""
    offered = acceleration.offered(name)
    if offered is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return offered


def set_fast(on: bool) -> None:
    """Choose whether the nets and solvers made from now on use the accelerated code (``fast/``).

    They do by default, unless the environment has ``TINYNET_FAST=0``.  Without it results may
    differ by rounding, and ``view_predictor`` is absent.
    """
    CONTEXT.fast = on


def read_images(
    source: str, shape: tuple[int, int, int], classes: int | None, chosen: Iterable[int] | None
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the images of an LMDB and their labels, as ``caffeformat.image_records`` reads them.

    Real Caffe's worker cannot read them itself and gets them through a pipe.
    """
    return image_records.read_images(Path(source), shape, classes, chosen)


def device_name() -> str:
    """The name of this thread's GPU as the driver gives it, or "cpu"."""
    return torch.cuda.get_device_name(CONTEXT.device) if CONTEXT.gpu else "cpu"


def how_repeated(solver: Solver) -> str:
    """How the solver runs its iterations: "as a CUDA graph", or "layer after layer" and why."""
    recorded = getattr(solver, "recorded", None)
    if recorded is None:
        return "layer after layer"
    if recorded.refused:
        return f"layer after layer: {recorded.refused}"
    return "as a CUDA graph" if recorded.recorded else "layer after layer so far"


def make_resumable(solver: Solver, together: parallel.NCCL | None = None) -> None:
    """Write a third file with each snapshot from now on, so that the run can resume exactly.

    ``PREFIX_iter_N.complete.json`` holds what Caffe does not save: positions in the data, random
    states, the losses that ``average_loss`` averages.  Consecutive calls of ``step`` also count as
    one, where Caffe starts the average anew at each.

    ``together`` joins the solver with those of other ranks, whose states the file holds too: all
    ranks must then call ``solver.snapshot()`` at the same iterations.
    """
    solver.resumable = True
    solver.together = together


def restore_complete(solver: Solver, solverstate: str | Path) -> None:
    """Resume exactly from a snapshot with a complete state; call it after ``solver.restore``.

    On the same machine with the same number of threads, an interrupted run then computes the same
    weights to the bit as an uninterrupted one.  Raises CaffeError if the complete state is missing,
    damaged, or belongs to another snapshot, net, data set, precision or number of solvers.
    """
    try:
        complete_state.restore(solver, Path(solverstate))
    except FileNotFoundError as error:
        raise CaffeError(f"{error.filename}: no such complete state") from None


def stop_when(solver: Solver, wanted: Callable[[], bool]) -> None:
    """Return from ``step`` early once ``wanted()`` is true: after an iteration, or in a test.

    An interrupted test counts as not begun.
    """
    solver.set_action_function(lambda: SolverAction.STOP if wanted() else SolverAction.NONE)


def limit_norms(solver: Solver, largest: float) -> None:
    """Scale each unit's weights back to the norm ``largest`` after each update from now on.

    This happens on the device, before that iteration's snapshot (see ``max_norm``); through
    ``blob.data`` every weight would be copied to the host and back.
    """
    solver.after_update = lambda: max_norm.limit(solver.net, largest)


def health(solver: Solver) -> tuple[float, str | None]:
    """Return the last forward pass's loss and the first layer with weights that are not finite.

    Through ``blob.data`` every parameter on a GPU would be copied to the host.
    """
    net = solver.net
    parts = [
        net.blobs[name].tensor.sum() * weight
        for name, weight in net.blob_loss_weights.items()
        if weight
    ]
    loss = float(torch.stack(parts).sum()) if parts else 0.0
    sums = {
        name: torch.stack([blob.tensor.sum(dtype=torch.float64) for blob in blobs]).sum()
        for name, blobs in net.params.items()
    }
    if not sums or bool(torch.stack(list(sums.values())).isfinite().all()):
        return loss, None
    return loss, next(name for name, total in sums.items() if not bool(total.isfinite()))
