"""``tinynet dissect --plan``: what is left to do, and about how long that takes here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from tinynet.bench.pace import training_rate
from tinynet.cli.dissect_work import Devices
from tinynet.cli.messages import say
from tinynet.engine import devices
from tinynet.report.table import as_text, of_texts
from tinynet.run.status import duration
from tinynet.study.cost import Cost
from tinynet.study.dissection import Planned, planned
from tinynet.study.trainings import DissectionRequest

# about ten minutes of a slow core: what costs less is begun without being timed first
_WORTH_TIMING = 1e13


def show(request: DissectionRequest, asked: Devices) -> None:
    """Print what is left to do, and about how long it takes here."""
    left = planned(request)
    if left:
        click.echo(_timed(left, asked))
    else:
        click.echo(f"{request.folders.results.root}: has all of it; nothing is left to train")


def show_if_long(left: Sequence[Planned], asked: Devices) -> None:
    """Say how long it takes where that is so long that a minute of measuring is little."""
    if sum(training.cost.operations for training in left) > _WORTH_TIMING:
        say(_timed(left, asked))


def _timed(left: Sequence[Planned], asked: Devices) -> str:
    return text(left, measured(left, asked), asked.at_once)


def measured(left: Sequence[Planned], asked: Devices) -> dict[str, float]:
    """Images a second of every stage that is left, from a few iterations of each net.

    Stages that differ only in learning rates or initial weights share one measurement.  One solver
    is timed.  The others of a training add as much again on GPUs of their own, less what their
    exchange of gradients costs, which is not measured; on the CPU they share its cores.
    """
    engine = asked.require_engine()
    chosen = devices.choose(engine, None, asked.on_cores)
    options = [f"--precision={asked.precision}"] if asked.precision != "float32" else []
    options += [] if chosen is None else [f"--gpu={chosen}"]
    solvers = 1 if chosen is None else asked.per_job
    rates: dict[str, float] = {}
    by_work: dict[tuple[int, int], float] = {}
    for training in left:
        name, work = training.cost.stage_name, (training.cost.multiply_adds, training.cost.batch)
        if work not in by_work:
            say(f"timing {name}")
            by_work[work] = training_rate(engine, training.net, training.solver, options)
        rates[name] = solvers * by_work[work]
    return rates


def text(left: Sequence[Planned], rates: Mapping[str, float], at_once: int) -> str:
    """The table of what is left, and the total time.

    ``rates``: images a second, by stage; ``at_once``: how many trainings run side by side, each at
    its own rate.
    """
    groups: dict[str, list[Cost]] = {}
    for training in left:
        groups.setdefault(training.cost.stage_name, []).append(training.cost)
    rows, seconds = [], 0.0
    for name, costs in groups.items():
        one = costs[0]
        each = one.images / rates[name]
        seconds += each * len(costs)
        rows.append(
            [
                name,
                str(len(costs)),
                f"{one.iterations:,}",
                str(one.batch),
                f"{rates[name]:,.0f}",
                duration(each),
                duration(each * len(costs)),
            ]
        )
    header = ["stage", "trainings", "iterations", "batch", "img/s", "each", "together"]
    trainings = f"{len(left)} training" + ("s" if len(left) != 1 else "")
    total = f"{trainings}, with their evaluations about {duration(seconds / at_once)}"
    if at_once > 1:
        total += f", {at_once} at once"
    return as_text(of_texts(header, rows, right=range(1, len(header)))) + f"\n{total}"
