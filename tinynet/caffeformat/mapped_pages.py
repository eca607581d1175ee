"""Removes the pages of a memory-mapped file from the process's resident memory.

LMDB maps its whole file, and every page that was ever read counts as resident: 1.7 GB after one
epoch of 100,000 images, for which a batch system's memory limit may end the run.  The pages stay in
the system's cache, so reading them again costs next to nothing.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MADV_DONTNEED = 4  # from <sys/mman.h> of Linux


def give_back(path: Path) -> int:
    """Give back the pages of all read-only maps of the file ``path``; return their size in bytes.

    Nothing is lost: the pages are read from the file again when needed.  Returns 0 if the system
    has no /proc (it is not Linux), or if the file is not mapped.
    """
    name = os.path.realpath(path)
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        madvise = ctypes.CDLL(None).madvise
    except (AttributeError, OSError):
        return 0
    total = 0
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == name and fields[1].startswith("r-"):
            start, end = (int(address, 16) for address in fields[0].split("-"))
            size = ctypes.c_size_t(end - start)
            if madvise(ctypes.c_void_p(start), size, _MADV_DONTNEED) == 0:
                total += end - start
    return total
