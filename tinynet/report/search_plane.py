"""Draws every trial of a search at its two values, coloured by its tuning accuracy."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tinynet.report import canvas
from tinynet.study.trials import Trial


class Point(NamedTuple):
    """A trial: its two values and its accuracy (0 to 1; None if it diverged or failed).

    ``complete``: False for a trial that was given up, whose accuracy is of an earlier epoch.
    """

    x: float
    y: float
    accuracy: float | None
    complete: bool


@canvas.styled
def draw_search_plane(
    points: Sequence[Point], best: Point, names: tuple[str, str], title: str
) -> Figure:
    """Draw trials on two logarithmic axes; the best one is ringed."""
    made, (axes,) = canvas.figure()
    whole = [point for point in points if point.complete and point.accuracy is not None]
    given_up = [point for point in points if not point.complete and point.accuracy is not None]
    failed = [point for point in points if point.accuracy is None]
    shown = [100 * float(point.accuracy or 0) for point in (*whole, *given_up)]
    handles: list[Any] = []
    low, high = min(shown), max(max(shown), min(shown) + 1)
    for group, marker, size, label in (
        (whole, "o", 60, "trained to the end"),
        (given_up, "s", 22, "given up early"),
    ):
        if group:
            # hollow, since any colour of the scale would mean an accuracy
            handles.append(
                Line2D([], [], linestyle="", marker=marker, markersize=size**0.5, label=label,
                       markerfacecolor="none", markeredgecolor=canvas.INK)
            )  # fmt: skip
            dots = axes.scatter(
                [point.x for point in group],
                [point.y for point in group],
                c=[100 * float(point.accuracy or 0) for point in group],
                marker=marker,
                s=size,
                cmap="viridis",
                edgecolors=canvas.INK,  # one end of the scale is as dark as a dark page
                linewidths=0.6,
                vmin=low,
                vmax=high,
            )
    if failed:
        crosses = axes.scatter(
            [point.x for point in failed],
            [point.y for point in failed],
            marker="x",
            color=canvas.FAINT,
            label="diverged or failed",
        )
        handles.append(crosses)
    ring = axes.scatter(
        [best.x],
        [best.y],
        s=190,
        facecolors="none",
        edgecolors=canvas.ORANGE,
        linewidths=2,
        label=f"best: {100 * float(best.accuracy or 0):.2f} %",
    )
    made.colorbar(dots, ax=axes, label="tuning accuracy (top-1, %)")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        few = canvas.is_narrow() and axis is axes.xaxis and _decades(points) > 1
        axis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.set_title(textwrap.fill(title, 38) if canvas.is_narrow() else title)
    handles.append(ring)
    if canvas.is_narrow():
        made.legend(handles=handles, loc="outside lower left", ncols=2)
    else:
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return made


def _decades(points: Sequence[Point]) -> float:
    """The range of the first values, in powers of ten."""
    values = [point.x for point in points]
    return math.log10(max(values) / min(values))


def describe(points: Sequence[Point], best: Point, names: tuple[str, str]) -> str:
    """The figure in words, for those who do not see it."""
    whole = sum(point.complete for point in points)
    return (
        f"{len(points)} trials over {names[0]} and {names[1]}, {whole} of them trained to the end. "
        f"The best, {100 * float(best.accuracy or 0):.2f} %, has {names[0]} {best.x:.4g} and "
        f"{names[1]} {best.y:.4g}."
    )


def points_of(trials: Sequence[Trial], names: tuple[str, str]) -> list[Point]:
    """The trials on the plane of two searched values, without those still running."""
    made = []
    for trial in trials:
        if trial.state != "running":
            # the last accuracy of a trial that diverged was measured before it did
            score = None if trial.state in ("failed", "diverged") else trial.score
            whole = trial.state == "complete"
            made.append(Point(trial.values[names[0]], trial.values[names[1]], score, whole))
    return made
