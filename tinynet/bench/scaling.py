"""Compares two solvers that train together with one, on CPUs (``tinynet train --solvers``).

All make the same update of 128 images of one net: one solver with one thread, one with two, and two
solvers with one thread each, which share the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tinynet.bench.bench import Bench
from tinynet.bench.rounds import Row, alternate
from tinynet.bench.stage_files import stage_files
from tinynet.bench.workers import Workers
from tinynet.engine.discovery import Engine
from tinynet.experiment.solvers import Overrides

_STAGE, _SOLVERS = 7, 2


def rows(bench: Bench, engine: Engine, size: int) -> list[Row]:
    """A round is ``size`` iterations of stage 7."""
    part = f"solvers, train stage {_STAGE}"
    names = ("1 solver, 1 thread", "1 solver, 2 threads", "2 solvers, 1 thread each")
    one, threads, two = (Row(part, name, "img", of=names[0] * (name != names[0])) for name in names)
    whole, half = (_work(bench, solvers) for solvers in (1, _SOLVERS))
    entries = [
        (one, bench.worker(engine, *whole, threads=1), size),
        (threads, bench.worker(engine, *whole, threads=2), size),
        (two, partial(Together, engine, ["bench", *half], _SOLVERS), size),
    ]
    alternate(entries, bench.rounds, bench.say)
    beside = two.times(threads)
    if beside:
        two.note = f"{beside:.2f} x {threads.name}"
    return [one, threads, two]


def _work(bench: Bench, solvers: int) -> list[str]:
    """A worker's arguments, where so many solvers share an update's images."""
    root = bench.scratch / f"solvers{solvers}"
    paths = stage_files(root, bench.data, _STAGE, Overrides(solvers=solvers))
    return ["train", f"--solver={paths.solver}"]


class Together(Workers):
    """The workers of several solvers, which find each other by the uid that rank 0 prints."""

    def __init__(self, engine: Engine, work: Sequence[str], solvers: int) -> None:
        ranks = [[*work, f"--solvers={solvers}", f"--rank={rank}"] for rank in range(solvers)]
        super().__init__(engine, ranks, threads=1)

    def wait_for(self, kind: str) -> dict[str, Any] | None:
        if kind == "ready":
            first, *others = self._workers
            uid = first.wait_for("uid") or {}
            for other in others:
                other.say(f"uid {uid.get('uid', '')}")
        return super().wait_for(kind)
