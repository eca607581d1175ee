"""Figure 7 of the paper: the accuracy of every stage, and what each one gains over the last."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinynet.report import canvas

Interval = tuple[float, float]

_LABEL_WIDTH = 32  # characters in a line beside a bar
_NARROW_TITLE, _NARROW_LABEL, _NARROW_NOTE = 42, 18, 60  # of a figure for a telephone


@dataclass(frozen=True)
class Bar:
    """One line of a stage table; accuracies and gains from 0 to 1.

    ``accuracy``: None for a stage that has not run, or as ``absence`` says.  ``interval``,
    ``gain_interval``: the ends of error bars, whose meaning the figure's note says, or None.
    ``gain``: over the stage that it is a step from, None if there is none.  ``paper_gain``: the
    gain that the paper states.
    """

    label: str
    accuracy: float | None
    interval: Interval | None = None
    gain: float | None = None
    gain_interval: Interval | None = None
    paper_gain: float | None = None
    absence: str = "not run"


@canvas.styled
def draw_bars(
    bars: Sequence[Bar],
    title: str,
    chance: float | None = None,
    note: str = "",
    images: str = "validation",
) -> Figure:
    """Draw one bar per line of the table, from top to bottom, with its value, and the gains.

    ``chance`` draws the accuracy of guessing; ``images`` names the split that was measured.
    Gains, ours and the paper's, have a panel of their own, if any bar has one.
    """
    if canvas.is_narrow():
        note = "\n".join(textwrap.fill(line, _NARROW_NOTE) for line in note.splitlines())
        title = textwrap.fill(title, _NARROW_TITLE)
    lines = note.count("\n") + 1 if note else 0
    has_gains = any(gain is not None for bar in bars for gain in (bar.gain, bar.paper_gain))
    panels = 2 if canvas.is_narrow() and has_gains else 1  # one above the other
    made = canvas.empty(height=panels * (1.55 + 0.4 * len(bars)) + canvas.NOTE_LINE * lines)
    if has_gains:
        if panels == 2:
            left, right = made.subplots(2, 1)
            _name_rows(right, bars)
        else:
            left, right = made.subplots(1, 2, sharey=True, width_ratios=(1.35, 1))
            right.tick_params(axis="y", labelleft=False)
        _draw_gains(right, bars)
    else:
        left = made.subplots()
    _draw_accuracies(left, bars, chance)
    left.set_xlabel(f"{images} accuracy (top-1, %)")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    canvas.note_below(made, note)
    return made


def _draw_accuracies(axes: Axes, bars: Sequence[Bar], chance: float | None) -> None:
    ends = [bar.interval[1] if bar.interval else bar.accuracy or 0 for bar in bars]
    reach = 100 * max(ends, default=0) or 1.0
    for row, bar in enumerate(bars):
        if bar.accuracy is None:
            left = max(0.025 * reach, 100 * (chance or 0) + 0.02 * reach)
            axes.text(left, row, bar.absence, va="center", fontsize=9, style="italic")
            continue
        percent = 100 * bar.accuracy
        axes.barh(row, percent, height=0.62, color=canvas.BLUE)
        end = percent
        if bar.interval is not None and all(map(math.isfinite, bar.interval)):
            low, high = (100 * value for value in bar.interval)
            _error(axes, row, low, high, canvas.INK)
            end = max(high, percent)
        axes.text(end + 0.015 * reach, row, f"{percent:.2f}", va="center", fontsize=9)
    if chance is not None:
        axes.axvline(100 * chance, color=canvas.ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            f"chance {100 * chance:.3g} %",
            (100 * chance, len(bars) - 0.52),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
            color=canvas.ORANGE,
            va="top",
        )
    _name_rows(axes, bars)
    axes.set_ylim(len(bars) - (0.1 if chance is not None else 0.4), -0.6)
    axes.set_xlim(0, 1.22 * reach)
    axes.tick_params(axis="y", length=0)


def _name_rows(axes: Axes, bars: Sequence[Bar]) -> None:
    width = _NARROW_LABEL if canvas.is_narrow() else _LABEL_WIDTH
    labels = [textwrap.fill(bar.label, width) for bar in bars]
    axes.set_yticks(range(len(bars)), labels, fontsize=9)
    axes.set_ylim(len(bars) - 0.4, -0.6)


def _draw_gains(axes: Axes, bars: Sequence[Bar]) -> None:
    """A dot for every gain, in percentage points, and a hollow diamond for the paper's."""
    axes.axvline(0, color=canvas.FAINT, linewidth=0.8)
    papers = 0
    for row, bar in enumerate(bars):
        if bar.paper_gain is not None:
            papers += 1
            axes.plot(100 * bar.paper_gain, row - 0.2, "D", **_PAPER)
        if bar.gain is None:
            continue
        if bar.gain_interval is not None and all(map(math.isfinite, bar.gain_interval)):
            low, high = (100 * value for value in bar.gain_interval)
            _error(axes, row + 0.1, low, high, canvas.BLUE)
        axes.plot(100 * bar.gain, row + 0.1, "o", markersize=5, color=canvas.BLUE)
    axes.plot([], [], "o", markersize=5, color=canvas.BLUE, label="ours")
    if papers:
        axes.plot([], [], "D", **_PAPER, label="the paper's")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.1)
    axes.set_xlabel("gain (percentage points)")
    axes.margins(x=0.12)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    canvas.grid(axes, "x")


_PAPER: dict[str, Any] = {
    "markersize": 5.5,
    "markerfacecolor": "none",
    "markeredgecolor": canvas.ORANGE,
    "markeredgewidth": 1.4,
    "linestyle": "none",
}


def _error(axes: Axes, row: float, low: float, high: float, colour: str) -> None:
    middle = (low + high) / 2
    axes.errorbar(
        middle, row, xerr=(high - low) / 2, fmt="none", ecolor=colour, capsize=3, elinewidth=1.1
    )


def describe(bars: Sequence[Bar]) -> str:
    """The figure in words, for those who do not see it."""
    parts = []
    for bar in bars:
        if bar.accuracy is None:
            parts.append(f"{bar.label}: {bar.absence}")
            continue
        more = "" if bar.gain is None else f", a gain of {100 * bar.gain:+.2f} points"
        paper = "" if bar.paper_gain is None else f" (the paper's {100 * bar.paper_gain:+.2f})"
        parts.append(f"{bar.label}: {100 * bar.accuracy:.2f} %{more}{paper}")
    return "; ".join(parts) + "."
