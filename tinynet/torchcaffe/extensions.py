"""What this engine can do beyond pycaffe: ``caffe.extensions``, absent on real Caffe.

A caller that wants one of these asks ``getattr(caffe, "extensions", None)`` and, where it is None,
keeps to the plain path of pycaffe, whose results are the same.  Each function says what it saves.
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
    from tinynet.torchcaffe.parallel import NCCL
    from tinynet.torchcaffe.solver import Solver


def __getattr__(name: str) -> Any:
    """What ``fast/`` offers besides, unless it is switched off: ``view_predictor``."""
    offered = acceleration.offered(name)
    if offered is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return offered


def set_fast(on: bool) -> None:
    """Whether the nets and solvers made from now on use what only makes them faster (``fast/``).

    They do, unless the environment said ``TINYNET_FAST=0``.  Without it they round otherwise, and
    ``view_predictor`` is absent.
    """
    CONTEXT.fast = on


def set_precision(name: str) -> None:
    """Compute in ``float32`` (Caffe's, the default), ``tf32`` or ``bf16`` from now on.

    Call it after ``set_mode_gpu`` or ``set_mode_cpu`` and before a net is made.  Weights, history,
    losses and all that a script or a snapshot reads stay float32.  Raises CaffeError for another
    name, and for tf32 on a CPU.
    """
    precision.set_precision(name)


def read_images(
    source: str, shape: tuple[int, int, int], classes: int | None, chosen: Iterable[int] | None
) -> Iterator[tuple[np.ndarray, int]]:
    """The images of an LMDB and their labels, as ``caffeformat.image_records`` reads them.

    Without the pipe through which real Caffe gets what it predicts.
    """
    return image_records.read_images(Path(source), shape, classes, chosen)


def device_name() -> str:
    """What this thread's nets compute on: a GPU's name as its driver gives it, or "cpu"."""
    return torch.cuda.get_device_name(CONTEXT.device) if CONTEXT.gpu else "cpu"


def how_repeated(solver: Solver) -> str:
    """How the solver does its iterations by now: "as a CUDA graph", or why not."""
    recorded = getattr(solver, "recorded", None)
    if recorded is None:
        return "layer after layer"
    if recorded.refused:
        return f"layer after layer: {recorded.refused}"
    return "as a CUDA graph" if recorded.recorded else "layer after layer so far"


def without_kernels() -> None:
    """Make nets without values from now on, to measure what they ask of the host (no_kernels.py).

    What needs a value, as ``blob.data`` or a displayed loss does, fails on them.  It lasts until
    ``set_mode_cpu`` or ``set_mode_gpu``.
    """
    no_kernels.without_kernels()


def host_time(iterate: Callable[[], object], warm_up: int = 3) -> no_kernels.HostTime:
    """The host's time for one iteration of a net or solver without values."""
    return no_kernels.HostTime(iterate, warm_up)


def make_resumable(solver: Solver, together: NCCL | None = None) -> None:
    """From now on every snapshot has a third file, from which the run can resume exactly.

    ``together``: what joins it with the solvers of other ranks, whose states the file holds too:
    all ranks must then call ``solver.snapshot()`` at the same points.

    ``PREFIX_iter_N.complete.json`` holds what Caffe forgets: positions in the data, random states,
    the window of ``average_loss``.  And calls of ``step`` follow one another as if they were one,
    where Caffe starts the average anew at each.
    """
    solver.resumable = True
    solver.together = together


def restore_complete(solver: Solver, solverstate: str | Path) -> None:
    """Resume exactly from a snapshot with a complete state; call it after ``solver.restore``.

    Then N iterations straight and any number of interruptions give the same weights to the bit, on
    the same machine with the same number of threads.  Raises CaffeError where the complete state is
    missing, damaged, or that of another snapshot, net, data set, precision or number of solvers.
    """
    try:
        complete_state.restore(solver, Path(solverstate))
    except FileNotFoundError as error:
        raise CaffeError(f"{error.filename}: no such complete state") from None


def stop_when(solver: Solver, wanted: Callable[[], bool]) -> None:
    """Leave ``step`` early once ``wanted()`` is true: after an iteration, or in a test.

    Real Caffe leaves a test of minutes only at its end.  The interrupted test counts as not begun.
    """
    solver.set_action_function(lambda: SolverAction.STOP if wanted() else SolverAction.NONE)


def told_by_rank_0(where: str, text: str | None, seconds: float = 300.0) -> str:
    """The ``text`` of rank 0 on all ranks that a launcher has started (``parallel``).

    Set solver_count and solver_rank before.
    """
    return parallel.told_by_rank_0(where, text, seconds)


def limit_norms(solver: Solver, largest: float) -> None:
    """From now on scale each unit's weights back to the norm ``largest`` after every update.

    (See ``max_norm``.)  It happens before the snapshot of that iteration, on the device, where
    ``blob.data`` would copy every weight to the host and back.
    """
    solver.after_update = lambda: max_norm.limit(solver.net, largest)


def health(solver: Solver) -> tuple[float, str | None]:
    """The loss of the last forward pass, and the first layer whose weights are not all finite.

    Without the copies to the host that ``blob.data`` makes of every parameter on a GPU.
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
