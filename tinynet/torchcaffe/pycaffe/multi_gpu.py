"""pycaffe's functions for training on several GPUs, by several solvers (``_caffe.cpp``).

Each process has one solver, as in Caffe's own ``train.py``: it sets the number of solvers and its
rank, makes its solver, and joins the others by ``NCCL`` (parallel.py).  The two numbers decide
which records a Data or HDF5Data layer in phase TRAIN reads (rank r reads every N-th from record r
on) and what the random seed is (``random_seed`` + rank).  Only rank 0 displays, tests and writes
snapshots.
"""

from __future__ import annotations

import operator

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import check


def solver_count() -> int:
    """The number of solvers that train together."""
    return CONTEXT.solver_count


def set_solver_count(count: int) -> None:
    """Set how many solvers train together; call it before this thread's solver is made."""
    check(operator.index(count) >= 1, f"solver_count must be at least 1; got {count}")
    CONTEXT.solver_count = count


def solver_rank() -> int:
    """The rank of this thread's solver; rank 0 displays, tests and saves."""
    return CONTEXT.solver_rank


def set_solver_rank(rank: int) -> None:
    """Set the rank, from 0 on, of this thread's solver; call it before the solver is made."""
    check(operator.index(rank) >= 0, f"solver_rank must be 0 or more; got {rank}")
    CONTEXT.solver_rank = rank


def set_multiprocess(multiprocess: bool) -> None:
    """Set whether each solver has its own process, so that layers written in Python may train."""
    CONTEXT.multiprocess = bool(multiprocess)


def has_nccl() -> bool:
    """Whether ``NCCL`` can be used, that is whether this PyTorch has ``torch.distributed``."""
    import torch.distributed as dist

    return dist.is_available()
