"""pycaffe's functions for training on several GPUs, by several solvers (``_caffe.cpp``).

Each process has one solver, as in Caffe's own ``train.py``: it sets the number of solvers and its
rank, makes its solver, and joins the others by ``NCCL`` (parallel.py).  What the numbers decide:
which records a Data or HDF5Data layer in phase TRAIN reads (rank r every N-th from record r on),
what the random seed is (``random_seed`` + rank), and that rank 0 alone displays, tests and writes
snapshots.
"""

from __future__ import annotations

import operator

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import check


def solver_count() -> int:
    """How many solvers train together."""
    return CONTEXT.solver_count


def set_solver_count(count: int) -> None:
    """Say how many solvers train together, before this thread's solver is made."""
    check(operator.index(count) >= 1, f"solver_count must be at least 1; got {count}")
    CONTEXT.solver_count = count


def solver_rank() -> int:
    """Which of the solvers this thread runs; 0 is the one that displays, tests and saves."""
    return CONTEXT.solver_rank


def set_solver_rank(rank: int) -> None:
    """Say which of the solvers this thread's is, before it is made: from 0 on."""
    check(operator.index(rank) >= 0, f"solver_rank must be 0 or more; got {rank}")
    CONTEXT.solver_rank = rank


def set_multiprocess(multiprocess: bool) -> None:
    """Say that each solver has a process of its own: then layers written in Python may train."""
    CONTEXT.multiprocess = bool(multiprocess)


def has_nccl() -> bool:
    """Whether ``NCCL`` can be used: whether this PyTorch has ``torch.distributed``."""
    import torch.distributed as dist

    return dist.is_available()
