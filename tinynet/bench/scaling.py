"""Two solvers that train together beside one, on this machine's CPUs (``tinynet train --solvers``).

All make the same update of 128 images, of one net: one solver with one thread, one with two, and
two solvers with one thread each, which share the images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tinynet.bench.rounds import Row, Say, Start, alternate
from tinynet.dataset.paths import DataPaths
from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker
from tinynet.experiment.paths import StagePaths

_STAGE, _SOLVERS = 7, 2


def rows(
    engine: Engine, data: DataPaths, scratch: Path, rounds: int, size: int, say: Say
) -> list[Row]:
    """A round is ``size`` iterations of stage 7."""
    part = f"solvers, train stage {_STAGE}"
    names = ("1 solver, 1 thread", "1 solver, 2 threads", "2 solvers, 1 thread each")
    one, threads, two = (Row(part, name, "img", of=names[0] * (name != names[0])) for name in names)
    whole, half = (_work(scratch, data, solvers) for solvers in (1, _SOLVERS))
    entries: list[tuple[Row, Start, int]] = [
        (one, partial(start_worker, engine, whole, threads=1, with_input=True), size),
        (threads, partial(start_worker, engine, whole, threads=2, with_input=True), size),
        (two, partial(Together, engine, half, _SOLVERS), size),
    ]
    alternate(entries, rounds, say)
    beside = two.times(threads)
    if beside:
        two.note = f"{beside:.2f} x {threads.name}"
    return [one, threads, two]


def _work(scratch: Path, data: DataPaths, solvers: int) -> list[str]:
    """What a worker does, for an update's images shared by so many."""
    from tinynet.caffeformat import schema, text
    from tinynet.experiment import generate
    from tinynet.experiment.data_description import describe
    from tinynet.experiment.solvers import Overrides
    from tinynet.experiment.stages import STAGES

    root = scratch / f"solvers{solvers}"
    stage = next(stage for stage in STAGES if stage.number == _STAGE)
    overrides = Overrides(solvers=solvers)
    generate.write(generate.generate(root, describe(data.root), [stage], overrides))
    paths = StagePaths(root, stage.name)
    solver = text.read(paths.solver, schema.SolverParameter)
    for unneeded in ("test_iter", "test_interval", "snapshot", "display"):
        solver.ClearField(unneeded)
    text.write(paths.solver, solver)
    return ["bench", "train", f"--solver={paths.solver}"]


class Together:
    """The workers of several solvers, which a round is asked of as of one (``rounds.Child``)."""

    def __init__(self, engine: Engine, work: Sequence[str], solvers: int) -> None:
        with contextlib.ExitStack() as started:
            self._ranks = [
                started.enter_context(
                    start_worker(
                        engine,
                        [*work, f"--solvers={solvers}", f"--rank={rank}"],
                        threads=1,
                        with_input=True,
                    )
                )
                for rank in range(solvers)
            ]
            self._started = started.pop_all()

    def wait_for(self, kind: str) -> dict[str, Any] | None:
        """Rank 0's event, of a round with the items of all; None where one of them has ended."""
        first, *others = self._ranks
        if kind == "ready":
            uid = first.wait_for("uid") or {}
            for other in others:
                other.say(f"uid {uid.get('uid', '')}")
        events = [rank.wait_for(kind) for rank in self._ranks]
        found = [event for event in events if event is not None]
        if len(found) < len(events):
            return None
        return {**found[0], "items": sum(event.get("items", 0) for event in found)}

    def send(self, data: bytes) -> bool:
        """Ask all of them for a round."""
        sent = [rank.send(data) for rank in self._ranks]  # all, whichever reads no more
        return all(sent)

    def fault(self) -> str:
        """Why the first that failed did; the others end with it."""
        self.close()
        failed = [rank for rank in self._ranks if rank.status] or self._ranks
        return failed[0].fault()

    def close(self) -> None:
        self._started.close()
