"""pycaffe's functions for training on several GPUs: this engine trains on one, and says so.

A script that sets one solver of rank 0, as scripts for one GPU do, runs; one that asks for more
gets an error instead of a run on one GPU that it takes for a run on several.
"""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe.errors import CaffeError, check

_ADVICE = "this engine trains on one GPU; raise batch_size or iter_size instead"


def solver_count() -> int:
    """How many solvers train together: always 1 here."""
    return 1


def set_solver_count(count: int) -> None:
    """Take 1; raises CaffeError for more."""
    check(count == 1, f"solver_count must be 1; got {count}: {_ADVICE}")


def solver_rank() -> int:
    """Which of the solvers this process runs: always 0, the one that saves and displays."""
    return 0


def set_solver_rank(rank: int) -> None:
    """Take 0; raises CaffeError for another."""
    check(rank == 0, f"solver_rank must be 0; got {rank}: {_ADVICE}")


def set_multiprocess(multiprocess: bool) -> None:
    """Nothing to do: there is one process."""


def has_nccl() -> bool:
    """Whether ``NCCL`` can be used: never here."""
    return False


class NCCL:
    """Exists, as in a Caffe built without NCCL, and cannot be used."""

    def __init__(self, solver: Any, uid: str) -> None:
        raise CaffeError(f"NCCL is not supported: {_ADVICE}")
