"""Contestants that work in turn, a round each, so that noise affects all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

Say = Callable[[str], None]
#: the contestant whose rate is the limit of the others of its part
LIMIT = "GEMM float32"


class Child(Protocol):
    """A process that works in rounds: a ``WorkerProcess``, or several that act as one."""

    def wait_for(self, kind: str) -> dict[str, Any] | None: ...

    def send(self, data: bytes) -> bool: ...

    def fault(self) -> str: ...

    def close(self) -> None: ...


Start = Callable[[], Child]
#: the unit of a row that measures the host's time of an iteration
HOST = "iteration"
#: the unit of a row that measures whole jobs of a list
JOB = "job"


@dataclass
class Row:
    """The measurements of one contestant, or why there are none."""

    part: str
    name: str
    unit: str  # what an item is: "img" or "FLOP", or HOST or JOB
    rates: list[float] = field(default_factory=list)  # items a second, one a round
    skipped: str = ""
    of: str = ""  # name of the contestant of the part that it is compared with
    flop: float = 0.0  # useful floating-point operations an item, for the fraction of the limit
    note: str = ""
    # what fraction of a training step's time an item takes here, by the part that measured the step
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """The median over the rounds."""
        return statistics.median(self.rates) if self.rates else None

    def times(self, other: Row) -> float | None:
        """The median of the rounds' ratios of rates; None if not measured.

        Both work one after the other in a round, so a machine that is slow for a while slows both.
        """
        ratios = [ours / theirs for ours, theirs in zip(self.rates, other.rates)]
        return statistics.median(ratios) if ratios else None


class Contestant:
    """A child that works a round at a time; ``worker/bench.py`` describes the protocol."""

    def __init__(self, row: Row, start: Start, size: int) -> None:
        self.row = row
        self._size = size  # of a round
        self._child = start()

    def wait(self) -> None:
        """Wait until the child is ready."""
        event = self._child.wait_for("ready")
        if event is None:
            self._give_up()
        else:
            self.row.note = event.get("note", "")

    def round(self) -> None:
        """Work one round; a child that dies is skipped from then on."""
        if self.row.skipped:
            return
        self._child.send(b"%d\n" % self._size)
        event = self._child.wait_for("round")
        if event is None:
            self._give_up()
        else:
            self.row.rates.append(event["items"] / event["seconds"])
            if "calls" in event:
                alone = 1000 * event["calls_seconds"] / event["items"]
                self.row.note = f"{event['calls']} torch calls, by themselves {alone:.2f} ms"

    def _give_up(self) -> None:
        self.row.skipped = self._child.fault()
        self.row.rates.clear()

    def close(self) -> None:
        self._child.close()


Entry = tuple[Row, Union[Start, str], int]
"""A contestant's row, how it is started or why it cannot be, and the size of a round."""


def alternate(
    entries: Sequence[Entry],
    rounds: int,
    say: Say = lambda _: None,
    at_once: bool = False,
) -> list[Row]:
    """Run ``rounds`` rounds of every entry, in turn; return their rows.

    ``at_once``: they prepare at the same time, which takes enough cores and memory.
    """
    contestants: list[Contestant] = []
    try:
        for row, start, size in entries:
            if isinstance(start, str):
                row.skipped = start
                continue
            say(f"{row.part}: preparing {row.name}")
            contestants.append(Contestant(row, start, size))
            if not at_once:
                contestants[-1].wait()
        for contestant in contestants if at_once else ():
            say(f"{contestant.row.part}: waiting for {contestant.row.name}")
            contestant.wait()
        for number in range(rounds):
            for contestant in contestants:
                say(f"{contestant.row.part}: round {number + 1} of {rounds}, {contestant.row.name}")
                contestant.round()
    finally:
        for contestant in contestants:
            contestant.close()
    return [row for row, _, _ in entries]
