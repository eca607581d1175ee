"""Slots, on which jobs run: shares of the cores, or one device chosen by others.

Those that are GPUs are in ``gpus``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tinynet.engine import environment
from tinynet.processor import usable_cores, whole_cores


@dataclass(frozen=True, eq=False)
class Slot:
    """What a job runs on, from ``Slots.take`` to ``Slots.give_back``."""

    label: str  # for messages: "GPU 3", "cores 0-3"
    arguments: tuple[str, ...]  # for commands that take --gpu N or --cpu and name neither
    together: tuple[str, ...] = ()  # the same for a training by several solvers
    environment: dict[str, str] = field(default_factory=dict)
    cores: frozenset[int] = frozenset()  # cores to bind the job to; empty: any
    descriptors: tuple[int, ...] = ()  # of locks that the commands hold too


class Slots(Protocol):
    """The slots of this machine that a runner may use."""

    def take(self, solvers: int = 1) -> Slot | None:
        """Take a free slot for so many solvers; None if there is none at the moment."""

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        """Return a slot whose job has ended; ``broken``: its GPU does not work."""

    def are_taken(self) -> bool:
        """Whether our own jobs occupy all slots, so that none can be free."""

    def wanted_by_others(self) -> int:
        """How many of our slots should be left to others now, by stopping their jobs."""


class Cores:
    """The cores of this machine in equal shares, each for one process with as many threads.

    A run keeps the number of threads that it was begun with (``run.json``): it does not get faster
    when fewer processes resume it.  ``bind`` binds each process to its share: it then does not move
    between sockets, but has to wait if others use those cores.
    """

    def __init__(
        self,
        processes: int,
        leave_free: int = 0,
        bind: bool = False,
        cores: Sequence[int] | None = None,
    ) -> None:
        available = list(whole_cores() if cores is None else cores)
        used = available[: max(1, len(available) - leave_free)]
        # a container's quota or Slurm may allow less time than there are cores to run on
        time = (usable_cores() if cores is None else len(available)) - leave_free
        threads = max(1, time // processes)
        self._free = [_share(used, processes, n, threads, bind) for n in range(processes)]

    def take(self, solvers: int = 1) -> Slot | None:
        """Take a share; the solvers of a job share its cores."""
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        self._free.append(slot)

    def are_taken(self) -> bool:
        return not self._free

    def wanted_by_others(self) -> int:
        return 0


class SingleSlot:
    """The one slot that a batch system, or the user, has chosen for us."""

    def __init__(self, gpu: int | None, cpu: bool, threads: int | None) -> None:
        arguments = ("--cpu",) if cpu else () if gpu is None else ("--gpu", str(gpu))
        label = "CPU" if cpu else "the default device" if gpu is None else f"GPU {gpu}"
        variables = {} if threads is None else environment.at_most(threads)
        self._gpu = gpu
        self._free: Slot | None = Slot(label, arguments, environment=variables)

    def take(self, solvers: int = 1) -> Slot | None:
        """Take the slot; several solvers get the chosen GPU and the following ones."""
        slot, self._free = self._free, None
        if slot is None or self._gpu is None or solvers == 1:
            return slot
        numbers = ",".join(str(self._gpu + n) for n in range(solvers))
        return replace(slot, label=f"GPU {numbers}", together=("--gpus", numbers))

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        self._free = slot

    def are_taken(self) -> bool:
        return self._free is None

    def wanted_by_others(self) -> int:
        return 0


def _share(cores: Sequence[int], processes: int, number: int, threads: int, bind: bool) -> Slot:
    """Share ``number`` of ``processes``; shares overlap only if there are fewer cores."""
    variables = environment.at_most(threads)
    if not bind:
        return Slot(f"CPU share {number + 1} of {processes}", ("--cpu",), environment=variables)
    each = max(1, len(cores) // processes)
    first = number * each % len(cores)
    mine = frozenset(cores[first : first + each])
    return Slot(f"cores {ranges(mine)}", ("--cpu",), environment=variables, cores=mine)


def ranges(cores: Collection[int]) -> str:
    """``0-3,6`` of the cores 0, 1, 2, 3 and 6."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
