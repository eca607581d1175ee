"""What the trainings of a dissection cost, and how long the rest of them will take.

A cost counts images, so that it holds on any machine; a measured rate turns it into a time.  The
unit is one image of a training iteration.  An image that is only tested costs a third of that: the
backward pass takes twice the forward pass's products (see ``caffeformat.shapes``).  Ten crops count
as ten images, the most that they can cost: an engine that shares their computation takes less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean

from tinynet.caffeformat import schema, shapes
from tinynet.caffeformat.phases import layers_of
from tinynet.errors import TinynetError
from tinynet.run.log import Record, read_history
from tinynet.run.paths import RunPaths
from tinynet.run.status import duration

TEST_COST = 1 / 3  # of an image that is tested, in images that are trained on
CROPS = 10
_STARTING = 20.0  # seconds that the processes of a training and its evaluations take to start


@dataclass(frozen=True)
class Cost:
    """The cost of one training and of its evaluations.

    ``run``: STAGE/NAME.  ``batch``: images of an iteration.  ``tested``: images that only pass
    forward, in the tests of the training and in the evaluations after it.  ``multiply_adds``: of
    one image's forward pass.
    """

    run: str
    iterations: int
    batch: int
    tested: int
    multiply_adds: int

    @property
    def stage_name(self) -> str:
        return self.run.split("/")[0]

    @property
    def images(self) -> float:
        """The whole cost, in images that are trained on."""
        return self.iterations * self.batch + TEST_COST * self.tested

    @property
    def operations(self) -> float:
        """All multiply-adds, by which nets of different sizes are compared."""
        return 3.0 * self.images * self.multiply_adds


def cost(
    run: str, net: schema.NetParameter, solver: schema.SolverParameter, evaluated: int
) -> Cost:
    """The cost of training a net by a solver.

    ``evaluated``: views of images that are evaluated after it.  Raises TinynetError if the net
    has no Data layer with a batch.
    """
    inferred = shapes.infer(net, schema.TRAIN)
    batch = next((layer.data_param.batch_size for layer in net.layer if layer.type == "Data"), 0)
    if not batch:
        raise TinynetError(f"net '{net.name}': has no Data layer with a batch")
    tested = [layer for layer in layers_of(net, schema.TEST) if layer.type == "Data"]
    tests = sum(
        layer.data_param.batch_size * count for layer, count in zip(tested, solver.test_iter)
    )
    times = solver.max_iter // solver.test_interval + 1 if solver.test_interval else 0
    return Cost(
        run=run,
        iterations=solver.max_iter,
        batch=batch * max(1, solver.iter_size),
        tested=times * tests + evaluated,
        multiply_adds=inferred.multiply_adds // batch,
    )


class Pace:
    """Says, while trainings run, how fast they are and how long all that is left will take.

    The rate is that of the iterations since the last call, by the training's own clock: the
    history has an iteration only now and then, so that its growth in a minute is too coarse.
    """

    def __init__(self, costs: Mapping[str, Cost], runs: Path) -> None:
        """``costs``: by STAGE/NAME, of all that was left at the start; ``runs``: the folder."""
        self._costs = dict(costs)
        self._runs = runs
        self._seen: dict[str, int] = {}  # iteration that each run had reached

    def lines(self, active: Sequence[str], left: Sequence[str]) -> list[str]:
        """One line for each run of ``active``, the last with the time left of all.

        ``left``: every run that is not done, those of ``active`` among them.
        """
        lines = []
        rate = 0.0  # multiply-adds a second of all that run
        for run in active:
            if run not in self._costs:
                continue
            mine = self._costs[run]
            iteration, images = self._look(run)
            text = f"{run}: iteration {iteration:,} of {mine.iterations:,}"
            if images:
                rest = mine.images - iteration * mine.batch
                text += f", {images:,.0f} img/s, {duration(rest / images)} left"
                rate += 3 * images * mine.multiply_adds
            lines.append(text)
        if rate and lines:
            rest = sum(
                self._costs[run].operations
                - 3.0 * self._seen.get(run, 0) * self._costs[run].batch
                * self._costs[run].multiply_adds
                for run in left
                if run in self._costs
            )  # fmt: skip
            waiting = len([run for run in left if run not in active])
            lines[-1] += f"; {waiting} more to do, all about {duration(rest / rate)} left"
        return lines

    def expected(self, run: str) -> float | None:
        """An upper bound, in seconds, for the rest of a run and its evaluations.

        An image takes no longer than in a larger net (by multiply-adds) whose rate is known; in a
        net larger than all of those it takes longer in proportion.  None if no rate is known
        yet, or no cost of the run.
        """
        mine = self._costs.get(run)
        if mine is None:
            return None
        seen = []  # (multiply-adds, seconds an image)
        for other, cost in self._costs.items():
            rate = _shown_rate(self._records(other))
            if rate:
                seen.append((cost.multiply_adds, 1 / rate))
        if not seen:
            return None
        larger = [each for size, each in seen if size >= mine.multiply_adds]
        largest, each = max(seen)
        if larger:
            each = min(larger)
        else:
            each *= mine.multiply_adds / largest
        records = self._records(run)
        done = int(records[-1]["iteration"]) * mine.batch if records else 0
        return _STARTING + (mine.images - done) * each

    def _look(self, run: str) -> tuple[int, float]:
        """The iteration that a run's history has come to, and its rate in images a second."""
        records = self._records(run)
        if not records:
            return 0, 0.0
        before = self._seen.get(run)
        iteration = self._seen[run] = int(records[-1]["iteration"])
        new = [] if before is None else [r for r in records if r["iteration"] > before]
        rates = [r["images_per_second"] for r in new if r.get("images_per_second")]
        return iteration, harmonic_mean(rates) if rates else _shown_rate(records)

    def _records(self, run: str) -> list[Record]:
        try:
            return read_history(RunPaths(self._runs / run).history)
        except (TinynetError, OSError):
            return []


def _shown_rate(records: Sequence[Record]) -> float:
    """Images a second in the last record that has it; 0.0 if none does."""
    rates = [r["images_per_second"] for r in records if r.get("images_per_second")]
    return float(rates[-1]) if rates else 0.0
