"""The processor: its name and instruction sets, and how much of it this process may use."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tinynet import control_groups


class Processor(NamedTuple):
    """``name`` as the system gives it, and the instruction sets; empty if unknown."""

    name: str
    instructions: frozenset[str]


@cache
def processor() -> Processor:
    """Describe this machine's processor."""
    name, instructions = "", frozenset[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            instructions = frozenset(value.split())
    return Processor(name, instructions)


def affinity() -> list[int]:
    """Cores that this process may run on, by its affinity."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def whole_cores() -> list[int]:
    """Cores of this process's affinity, each named by the first of its hardware threads."""
    by_siblings: dict[str, int] = {}
    for core in affinity():
        by_siblings.setdefault(_siblings(core), core)
    return list(by_siblings.values())


def usable_cores() -> int:
    """How many cores' time this process and its children may really use.

    The smaller of the whole cores of its affinity and a container's quota of CPU time.
    """
    return max(1, int(min(float(len(whole_cores())), _quota())))


def usable_threads() -> int:
    """How many threads a run should compute with here: no more than it may really use.

    The smallest of ``usable_cores``, SLURM_CPUS_PER_TASK (of one task) and OMP_NUM_THREADS.
    """
    limits = (usable_cores(), _given("SLURM_CPUS_PER_TASK"), _given("OMP_NUM_THREADS"))
    return int(min(limits))


def _given(name: str) -> float:
    """The number in an environment variable, infinite without one.

    OMP_NUM_THREADS may be a list, with a number for each level of nesting: the first counts.
    """
    text = os.environ.get(name, "").split(",")[0].strip()
    return int(text) if text.isdigit() and int(text) else float("inf")


def _siblings(core: int) -> str:
    """A text that is the same for all hardware threads of one core."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        return path.read_text().strip()
    except OSError:
        return str(core)


def _quota(root: Path = control_groups.ROOT) -> float:
    """A container's quota of CPU time in cores; infinite if there is none."""
    least = float("inf")
    for folder in control_groups.folders("cpu", root):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # cgroup 2, 1
            try:
                quota, period = " ".join((folder / n).read_text() for n in names).split()
                if int(quota) > 0:
                    least = min(least, int(quota) / int(period))
            except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
                continue
    return least
