"""Where a job can run: a share of the cores here, a GPU in ``gpus``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tinynet.engine import environment
from tinynet.engine.processor import usable_cores


@dataclass(frozen=True, eq=False)
class Slot:
    """What one job runs on, from ``Slots.take`` to ``Slots.give_back``."""

    label: str  # for messages: "GPU 3", "cores 0-3"
    arguments: tuple[str, ...]  # for commands that take --gpu N or --cpu and name neither
    together: tuple[str, ...] = ()  # for a training by several solvers, instead of these
    environment: dict[str, str] = field(default_factory=dict)
    cores: frozenset[int] = frozenset()  # to be bound to; empty: any
    descriptors: tuple[int, ...] = ()  # locks that the commands hold along with us


class Slots(Protocol):
    """The slots of this machine that a runner may use."""

    def take(self, solvers: int = 1) -> Slot | None:
        """A free slot for so many solvers, now ours; None where there is none at this moment."""

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        """The job on a slot has ended; ``broken``: because the slot's GPU does not compute."""

    def are_taken(self) -> bool:
        """Whether jobs of ours have all slots that there are, so that none can be free."""

    def wanted_by_others(self) -> int:
        """How many of our slots we should give up now, their jobs stopped."""


class Cores:
    """The cores of this machine in equal shares: one process each, with as many threads.

    A run keeps the number of threads that it was begun with (``run.json``): carried on by fewer
    processes, it gains nothing.  Processes are bound to their share only if ``bind``: that keeps
    them from moving between sockets, but makes them wait for whoever else uses those cores.
    """

    def __init__(
        self,
        processes: int,
        leave_free: int = 0,
        bind: bool = False,
        cores: Sequence[int] | None = None,
    ) -> None:
        available = list(usable_cores() if cores is None else cores)
        used = available[: max(1, len(available) - leave_free)]
        self._free = [_share(used, processes, number, bind) for number in range(processes)]

    def take(self, solvers: int = 1) -> Slot | None:
        """The solvers of a job share its cores."""
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        self._free.append(slot)

    def are_taken(self) -> bool:
        return not self._free

    def wanted_by_others(self) -> int:
        return 0


class One:
    """The one slot that a batch system, or a person, has chosen for us."""

    def __init__(self, gpu: int | None, cpu: bool, threads: int | None) -> None:
        arguments = ("--cpu",) if cpu else () if gpu is None else ("--gpu", str(gpu))
        label = "CPU" if cpu else "the default device" if gpu is None else f"GPU {gpu}"
        variables = {} if threads is None else environment.at_most(threads)
        self._gpu = gpu
        self._free: Slot | None = Slot(label, arguments, environment=variables)

    def take(self, solvers: int = 1) -> Slot | None:
        """Several solvers take the GPU that was chosen, and those that follow it."""
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


def _share(cores: Sequence[int], processes: int, number: int, bind: bool) -> Slot:
    """Share ``number`` of ``processes``; two overlap only where there are fewer cores."""
    each = max(1, len(cores) // processes)
    first = number * each % len(cores)
    mine = frozenset(cores[first : first + each])
    threads = environment.at_most(len(mine))
    if bind:
        return Slot(f"cores {_ranges(mine)}", ("--cpu",), environment=threads, cores=mine)
    return Slot(f"CPU share {number + 1} of {processes}", ("--cpu",), environment=threads)


def _ranges(cores: frozenset[int]) -> str:
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
