"""One thread for the forked child of a process that has computed.

OpenMP's threads do not survive a fork, and GNU's runtime, which PyTorch's wheels use, waits for
them in the child for ever.  A child with one thread needs none of them.  Scripts do fork:
``multiprocessing`` does on Linux, and real Caffe's BLAS restarts its threads in a child.
"""

from __future__ import annotations

import os

import torch

_has_computed = False


def note_computation() -> None:
    """Give the process's later children one thread; called where it begins to compute."""
    global _has_computed
    _has_computed = True


def _use_one_thread() -> None:
    if _has_computed:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
