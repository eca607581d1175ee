"""Variables of the environment that our workers start with.

What a user has set stands.  Nothing here changes what is computed, but the number of threads.
"""

from __future__ import annotations

import os

from tinynet.engine.processor import usable_threads

# Where OpenMP is told how its threads wait for each other: by all runtimes, by GNU's, by Intel's
# and LLVM's.  PyTorch's wheels bring GNU's, whose threads spin for a while at the end of every
# parallel region: where a core is taken for a moment, all others spin until it is back, on time
# that the one they wait for could have had.  "passive" has them sleep (for Intel's and LLVM's
# too: their block time becomes 0).
_WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

# glibc gives a large block back to the system the moment it is freed, and the next iteration's
# tensor of the same size faults every page in again: a third of a training step's time on a CPU.
# Without mmap for large blocks and without trimming, the heap grows to the working set once and
# stays.  See mallopt(3).
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}

# CUDA counts the fastest GPU first, unless it is told to count as nvidia-smi and jobs do
DEVICE_ORDER, AS_NVIDIA_SMI = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"

# where the libraries that engines may compute with look for their number of threads
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def of_worker(engine: str, threads: int | None = None) -> dict[str, str]:
    """What a worker of the engine ("torch", "caffe") has beside our own environment.

    ``threads``: as in ``process.start_worker``.
    """
    # old glog writes INFO to files unless told otherwise; the log must come to us whole
    found = {"GLOG_logtostderr": "1", "GLOG_minloglevel": "0", "PYTHONUNBUFFERED": "1"}
    found.update(of_script(engine))
    if threads is None:
        found.update(at_most(usable_threads()))
    else:
        found.update(dict.fromkeys(THREAD_COUNTS, str(threads)))
        # else MKL would take no more threads than there are cores, and sum up in another order
        found["MKL_DYNAMIC"] = "FALSE"
    # else GNU's OpenMP would take fewer threads on a busy machine, and sum up in another order
    found["OMP_DYNAMIC"] = "false"
    return found


def of_script(engine: str) -> dict[str, str]:
    """What a user's own script has beside our environment, where we run it on an engine."""
    found = {}
    if not any(name in os.environ for name in _WAITS):
        found["OMP_WAIT_POLICY"] = "passive"
    if engine == "torch" and not any(name in os.environ for name in _KEEP_FREED_MEMORY):
        found.update(_KEEP_FREED_MEMORY)
    if DEVICE_ORDER not in os.environ:
        found[DEVICE_ORDER] = AS_NVIDIA_SMI
    return found


def at_most(threads: int) -> dict[str, str]:
    """Variables for so many threads; what the user has set is kept where it is less."""
    found = {}
    for name in THREAD_COUNTS:
        given = os.environ.get(name, "")
        found[name] = str(min(int(given), threads) if given.isdigit() and int(given) else threads)
    return found
