"""The processor: its name and instruction sets, and how much of it this process may use."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tinynet.engine import control_groups


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


def usable_cores() -> list[int]:
    """Cores that this process may use: those of its affinity, up to a container's quota."""
    cores = affinity()
    return cores[: max(1, int(min(len(cores), _quota())))]


def usable_threads() -> int:
    """How many threads a run should compute with here: no more than it may really use.

    The smallest of: the physical cores of its affinity (hardware threads of one core count once), a
    container's quota of CPU time, SLURM_CPUS_PER_TASK, and the user's own OMP_NUM_THREADS.
    """
    cores = affinity()
    limits = [float(len({_siblings(core) for core in cores})), _quota()]
    for name in ("SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may be a list, with a number for each level of nesting
        given = os.environ.get(name, "").split(",")[0].strip()
        if given.isdigit() and int(given):
            limits.append(int(given))
    return max(1, int(min(limits)))


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
