"""Two solvers that train together beside one, on this machine's CPUs (``tinynet train --solvers``).

All make the same update of 128 images, of one net: one solver with one thread, one with two, and
two solvers with one thread each, which share the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tinynet.bench.rounds import Row, Say, Start, alternate
from tinynet.bench.workers import Workers
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


class Together(Workers):
    """The workers of several solvers, which find each other by what rank 0 says."""

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
