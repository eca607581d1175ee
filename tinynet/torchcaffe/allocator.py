"""Keeping freed memory in the process, so that each iteration reuses the last one's pages.

glibc gives a large block back to the system the moment it is freed, and the next iteration's tensor
of the same size faults every page in again: a third of the time of a training step on a CPU.  With
no mmap for large blocks and no trimming, the heap grows to the working set once and stays.
"""

from __future__ import annotations

import ctypes
import functools

# parameters of mallopt(3), from <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library once; False where it is not glibc and takes no such advice."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
