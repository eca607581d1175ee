"""Figure 7 of the paper: the accuracy of every stage, and what each one gains over the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.reporting import canvas


@dataclass(frozen=True)
class Bar:
    """One line of a stage table; accuracies from 0 to 1.

    ``error`` is the half width of an error bar (say in the figure's note of what), None for none;
    ``accuracy`` None stands for a stage that has not run.
    """

    label: str
    accuracy: float | None
    error: float | None = None


@canvas.styled
def draw_bars(
    bars: Sequence[Bar], path: Path, title: str, chance: float | None = None, note: str = ""
) -> None:
    """Draw one bar per line of the table, from top to bottom, with value and gain; a PNG.

    The gain is over the nearest line above that has run.  ``chance`` draws the accuracy of
    guessing.
    """
    made, (axes,) = canvas.figure(7.5, 1.4 + 0.42 * len(bars) + (0.2 if note else 0))
    before: float | None = None
    reach = max([100 * ((bar.accuracy or 0) + (bar.error or 0)) for bar in bars], default=1) or 1
    for row, bar in enumerate(bars):
        if bar.accuracy is None:
            axes.text(0.025 * reach, row, "not run", va="center", color=canvas.FAINT)
            continue
        percent = 100 * bar.accuracy
        error = 100 * bar.error if bar.error is not None and math.isfinite(bar.error) else None
        axes.barh(
            row,
            percent,
            height=0.66,
            color=canvas.BLUE,
            xerr=error,
            error_kw={"ecolor": canvas.INK, "capsize": 3, "elinewidth": 1},
        )
        gain = "" if before is None else f"  ({percent - before:+.2f})".replace("-", "−")
        axes.text(percent + (error or 0) + 0.012 * reach, row, f"{percent:.2f}{gain}", va="center")
        before = percent
    if chance is not None:
        axes.axvline(100 * chance, color=canvas.ORANGE, linewidth=1, linestyle=(0, (4, 2)))
        axes.annotate(
            f"chance {100 * chance:.1f} %",
            (100 * chance, -0.62),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
            color=canvas.ORANGE,
            va="bottom",
        )
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.75)
    axes.set_xlim(0, 1.3 * reach)
    axes.set_xlabel("top-1 accuracy (%); in brackets the gain over the last one above")
    axes.set_title(title)
    axes.tick_params(axis="y", length=0)
    if note:
        made.text(0.01, 0.0, note, fontsize=8, color=canvas.INK, va="bottom")
        made.get_layout_engine().set(rect=(0, 0.045, 1, 0.955))  # type: ignore[union-attr, call-arg]
    canvas.save(made, path)
