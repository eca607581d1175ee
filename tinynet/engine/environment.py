"""Environment variables that our workers start with.

Variables that the user has set are kept.  Apart from the number of threads, nothing here changes
what is computed.
"""

from __future__ import annotations

import os

from tinynet.processor import usable_threads

# How OpenMP's threads wait for each other: for all runtimes, for GNU's, for Intel's and LLVM's.
# PyTorch's wheels use GNU's, whose threads spin for a while at the end of every parallel region.
# If another process takes one core, the threads on all others spin until that core is free again,
# and so take processor time from the thread that they wait for.  "passive" makes them sleep (it
# also sets Intel's and LLVM's block time to 0).
_WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

# glibc returns a large block to the system as soon as it is freed, and the next iteration's tensor
# of the same size faults every page in again: a third of a training step's time on a CPU.  Without
# mmap for large blocks and without trimming, the heap grows to the working set once and keeps that
# size.  See mallopt(3).
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}

# by default CUDA numbers the fastest GPU first; this makes it number them as nvidia-smi does
DEVICE_ORDER, AS_NVIDIA_SMI = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"

# the thread counts of the libraries that engines compute with
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def of_worker(engine: str, threads: int | None = None) -> dict[str, str]:
    """Variables that a worker of an engine ("torch", "caffe") gets besides our own environment.

    ``threads``: as in ``process.start_worker``.
    """
    # by default old glog writes INFO lines to files only; the parent needs the whole log
    found = {"GLOG_logtostderr": "1", "GLOG_minloglevel": "0", "PYTHONUNBUFFERED": "1"}
    found.update(of_script(engine))
    if threads is None:
        found.update(at_most(usable_threads()))
    else:
        found.update(dict.fromkeys(THREAD_COUNTS, str(threads)))
        # otherwise MKL uses no more threads than there are cores, and sums in another order
        found["MKL_DYNAMIC"] = "FALSE"
    # otherwise GNU's OpenMP uses fewer threads on a busy machine, and sums in another order
    found["OMP_DYNAMIC"] = "false"
    return found


def of_script(engine: str) -> dict[str, str]:
    """Variables that a user's own script gets besides our environment when an engine runs it."""
    found = {}
    if not any(name in os.environ for name in _WAITS):
        found["OMP_WAIT_POLICY"] = "passive"
    if engine == "torch" and not any(name in os.environ for name in _KEEP_FREED_MEMORY):
        found.update(_KEEP_FREED_MEMORY)
    if DEVICE_ORDER not in os.environ:
        found[DEVICE_ORDER] = AS_NVIDIA_SMI
    return found


def at_most(threads: int) -> dict[str, str]:
    """Variables that limit the number of threads; a smaller number set by the user is kept."""
    found = {}
    for name in THREAD_COUNTS:
        given = os.environ.get(name, "")
        found[name] = str(min(int(given), threads) if given.isdigit() and int(given) else threads)
    return found
