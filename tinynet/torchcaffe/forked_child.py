"""A forked child of a process that has computed computes on one thread.

OpenMP's threads do not live on in a child, and GNU's runtime, that of PyTorch's wheels, waits for
them there without end.  A child of one thread asks for none.  Real Caffe's BLAS starts its threads
anew, so that a script may fork whenever it likes: ``multiprocessing`` does on Linux.
"""

from __future__ import annotations

import os

import torch

_has_computed = False


def computes() -> None:
    """To be called where the process begins to compute: its later children have one thread."""
    global _has_computed
    _has_computed = True


def _begin_alone() -> None:
    if _has_computed:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_alone)
