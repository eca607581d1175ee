"""Slots, on which jobs run: shares of the cores, or one device chosen by others.

Those that are GPUs are in ``gpus``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tinynet.engine import environment
from tinynet.processor import usable_cores


@dataclass(frozen=True, eq=False)
class Slot:
    """What a job runs on, from ``Slots.take`` to ``Slots.give_back``."""

    label: str  # for messages: "GPU 3", "CPU share 1 of 2"
    arguments: tuple[str, ...]  # for commands that take --gpu N or --cpu and name neither
    together: tuple[str, ...] = ()  # the same for a training by several solvers
    environment: dict[str, str] = field(default_factory=dict)
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


class FixedSlots:
    """Slots that are ours alone, each for one job at a time."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._free = list(slots)

    def take(self, solvers: int = 1) -> Slot | None:
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        self._free.append(slot)

    def are_taken(self) -> bool:
        return not self._free

    def wanted_by_others(self) -> int:
        return 0


def shares_of_cores(processes: int, leave_free: int = 0, cores: int | None = None) -> FixedSlots:
    """Equal shares of this machine's cores, each for one process with as many threads.

    A run keeps the number of threads that it was begun with (``run.json``): it does not get faster
    when fewer processes resume it.  ``cores``: how many to share instead of all.
    """
    time = (usable_cores() if cores is None else cores) - leave_free
    variables = environment.at_most(max(1, time // processes))
    return FixedSlots(
        [
            Slot(f"CPU share {number} of {processes}", ("--cpu",), environment=variables)
            for number in range(1, processes + 1)
        ]
    )


class SingleSlot(FixedSlots):
    """The one slot that a batch system, or the user, has chosen for us."""

    def __init__(self, gpu: int | None, cpu: bool, threads: int | None) -> None:
        arguments = ("--cpu",) if cpu else () if gpu is None else ("--gpu", str(gpu))
        label = "CPU" if cpu else "the default device" if gpu is None else f"GPU {gpu}"
        variables = {} if threads is None else environment.at_most(threads)
        self._gpu = gpu
        self._slot = Slot(label, arguments, environment=variables)
        super().__init__([self._slot])

    def take(self, solvers: int = 1) -> Slot | None:
        """Take the slot; several solvers get the chosen GPU and the following ones."""
        slot = super().take()
        if slot is None or self._gpu is None or solvers == 1:
            return slot
        numbers = ",".join(str(self._gpu + n) for n in range(solvers))
        return replace(slot, label=f"GPU {numbers}", together=("--gpus", numbers))

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        super().give_back(self._slot)
