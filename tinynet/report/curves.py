"""Learning curves: loss and accuracy of every stage, from the histories of its runs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from tinynet.errors import TinynetError
from tinynet.report import canvas

History = Sequence[Mapping[str, Any]]

_SMOOTH = 25  # displayed training losses averaged, at most a tenth of all there are
# Highest loss drawn, as a multiple of the runs' median first loss: neither a spike nor one net that
# begins far off may flatten everything else.
_LOSS_CEILING = 1.15
_PER_ROW, _PER_NARROW_ROW = 4, 2
_TITLE_WIDTH = 28  # characters in a line above a panel
_KEYS = ("train_loss", "val_loss", "val_accuracy")


@canvas.styled
def draw_curves(histories: Mapping[str, Sequence[History]], images: str = "validation") -> Figure:
    """Draw the histories (records of ``history.jsonl``) of each stage's runs, by its label.

    Above, a panel for each stage with its losses in the stage's colour: training (a running mean of
    what the solver displayed) and validation; a note says where they begin above the panel.
    Below, the validation accuracy of every stage, the mean of its runs at the iterations that all
    of them have.  ``images``: the name of the images of val.  Values that are missing or not finite
    leave a gap.  Raises TinynetError if no history holds anything to draw.
    """
    every = [history for runs in histories.values() for history in runs]
    if not has_points(histories):
        raise TinynetError("no run has a history yet, so there are no learning curves to draw")
    stages = {
        label: runs
        for label, runs in histories.items()
        if any(points(history, key) for history in runs for key in _KEYS)
    }
    rows = -(-len(stages) // (_PER_NARROW_ROW if canvas.is_narrow() else _PER_ROW))
    columns = -(-len(stages) // rows)
    names = [textwrap.fill(label, _TITLE_WIDTH) for label in stages]
    lines = sum(name.count("\n") + 1 for name in names)
    legend = 0.4 + 0.14 * lines + 0.06 * len(names)
    # beside the accuracies, or on a narrow figure below them
    heights = 0.5 + 1.9 * rows, 2.6 + legend if canvas.is_narrow() else max(3.4, legend)
    made = canvas.empty(height=sum(heights))
    if len(stages) == 1:  # one column of two panels, whose edges are in line
        both = made.subplots(2, 1, squeeze=False, sharex=True, height_ratios=heights)
        above, panels, accuracies = made, both[:1], both[1, 0]
    else:
        parts: Any = made.subfigures(2, 1, height_ratios=heights)
        above, below = parts
        panels = above.subplots(rows, columns, squeeze=False, sharey=True)
        accuracies = below.subplots()
    top = _ceiling(every)
    losses = [y for h in every for key in _KEYS[:2] for _, y in _smooth(h, key) if y <= top]
    low, high = canvas.padded_range(losses or [0.0, 1.0], least=0.1)
    for number, axes in enumerate(panels.flat):
        if number >= len(stages):
            axes.set_axis_off()
            continue
        runs = list(stages.values())[number]
        color = canvas.series_style(number)["color"]
        for history in runs:
            _plot(axes, _smooth(history, "train_loss"), color=color, **_THIN)
            _plot(axes, points(history, "val_loss"), color=color, **_BOLD)
        above_all = max(_first_losses(runs), default=0.0)
        if above_all > min(top, high):
            axes.text(0.98, 0.95, f"begins at {above_all:.1f}", fontsize=7.5, ha="right", va="top",
                      style="italic", transform=axes.transAxes)  # fmt: skip
        axes.set_title(names[number], fontsize=8)
        axes.set_ylim(max(0.0, low), min(top, high))
        if number % columns == 0:
            axes.set_ylabel("loss (nats)")
        _iterations(axes)
    above.legend(
        handles=[
            Line2D([], [], color=canvas.INK, **_THIN, label="training"),
            Line2D([], [], color=canvas.INK, **_BOLD, label=images),
        ],
        loc="outside upper right",
        ncols=2,
    )
    handles = _draw_accuracies(accuracies, dict(zip(names, stages.values())), images)
    if len(stages) > 1:  # a single one is named above
        where = "outside lower left" if canvas.is_narrow() else "outside right upper"
        below.legend(handles=handles, loc=where, fontsize=8)
    return made


_THIN: dict[str, Any] = {"linewidth": 1.1, "linestyle": "-"}
_BOLD: dict[str, Any] = {"linewidth": 1.7, "linestyle": (0, (4, 1.2))}


def _draw_accuracies(
    axes: Axes, stages: Mapping[str, Sequence[History]], images: str
) -> list[Line2D]:
    """Draw a line for each stage; return the entries of a legend."""
    handles = []
    for number, (label, runs) in enumerate(stages.items()):
        look = canvas.series_style(number)
        _plot(axes, [(x, 100 * y) for x, y in mean_points(runs, "val_accuracy")], **look)
        handles.append(Line2D([], [], **look, label=label))
    axes.set_ylabel(f"{images} accuracy (top-1, %)")
    axes.set_xlabel("iteration")
    axes.set_ylim(bottom=0)
    _iterations(axes)
    return handles


def _iterations(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    canvas.grid(axes)


def _ceiling(every: Sequence[History]) -> float:
    """The highest loss that is drawn, from the median of the runs' first losses."""
    firsts = [max(_first_losses([history]), default=0.0) for history in every]
    return _LOSS_CEILING * median([first for first in firsts if first] or [1.0])


def _first_losses(every: Sequence[History]) -> Iterator[float]:
    for history in every:
        for key in _KEYS[:2]:
            yield from (y for _, y in points(history, key)[:1])


Points = list[tuple[int, float]]


def has_points(histories: Mapping[str, Sequence[History]]) -> bool:
    """Whether there is anything to draw."""
    every = [history for runs in histories.values() for history in runs]
    return any(points(history, key) for history in every for key in _KEYS)


def points(history: History, key: str) -> Points:
    """(iteration, value) of the records that have one."""
    return [
        (record["iteration"], float(record[key]))
        for record in history
        if isinstance(record.get(key), (int, float))
    ]


def mean_points(runs: Sequence[History], key: str) -> Points:
    """(iteration, mean of the runs) where all runs with any values have one."""
    each = [dict(found) for history in runs if (found := points(history, key))]
    shared = [x for x in each[0] if all(x in one for one in each)] if each else []
    return [(x, sum(one[x] for one in each) / len(each)) for x in shared]


def _smooth(history: History, key: str) -> Points:
    """Training losses, each averaged with a few before it; other values as they are."""
    found = points(history, key)
    if key != "train_loss":
        return found
    window = max(1, min(_SMOOTH, len(found) // 10))
    out = []
    for end in range(1, len(found) + 1):
        part = [value for _, value in found[max(0, end - window) : end]]
        out.append((found[end - 1][0], sum(part) / len(part)))
    return out


def _plot(axes: Axes, found: Points, **look: Any) -> None:
    if found:
        axes.plot([x for x, _ in found], [y for _, y in found], **look)


def describe(histories: Mapping[str, Sequence[History]]) -> str:
    """The figure in words, for those who do not see it."""
    parts = []
    for label, runs in histories.items():
        ends = [points(history, "val_accuracy")[-1:] for history in runs]
        shown = [f"{100 * end[0][1]:.1f} % at iteration {end[0][0]:,}" for end in ends if end]
        if shown:
            parts.append(f"{label}: {', '.join(shown)}")
    if not parts:
        return "Training and validation losses against iterations; no accuracy was measured."
    return (
        "Training and validation losses of every stage against iterations, then the validation "
        "accuracies, which end thus. " + "; ".join(parts) + "."
    )
