"""``tinynet dissect --plan``: what is left to do, and about how long that takes here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tinynet.engine import devices
from tinynet.engine.discovery import Engine
from tinynet.report.table import as_text, of_texts
from tinynet.study.cost import Cost, duration
from tinynet.study.dissection import Planned

# about ten minutes of a slow core: what costs less is begun without being timed first
_WORTH_TIMING = 1e13


def is_worth_timing(costs: Sequence[Cost]) -> bool:
    """Whether the trainings take so long that a minute of measuring is little."""
    return sum(one.operations for one in costs) > _WORTH_TIMING


def measured(
    left: Sequence[Planned],
    engine: Engine,
    cpu: bool,
    precision: str,
    say: Callable[[str], None],
) -> dict[str, float]:
    """Images a second of every stage that is left, from a few iterations of each net.

    Stages that differ only in learning rates or initial weights share one measurement.
    """
    from tinynet.bench.pace import training_rate

    chosen = devices.choose(engine, None, cpu)
    options = [f"--precision={precision}"] if precision != "float32" else []
    options += [] if chosen is None else [f"--gpu={chosen}"]
    rates: dict[str, float] = {}
    by_work: dict[tuple[int, int], float] = {}
    for training in left:
        name, work = training.cost.stage_name, (training.cost.multiply_adds, training.cost.batch)
        if work not in by_work:
            say(f"timing {name}")
            by_work[work] = training_rate(engine, training.net, training.solver, options)
        rates[name] = by_work[work]
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
