"""Figure 6 of the paper: training, validation and test-like accuracy side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tinynet.report import canvas


@dataclass(frozen=True)
class Accuracy:
    """One bar: what was measured, on how many images; accuracies from 0 to 1, None: not run.

    ``paper``: what the paper states for it.
    """

    label: str
    value: float | None
    images: int = 0
    paper: float | None = None


@canvas.styled
def draw_accuracies(found: Sequence[Accuracy], title: str) -> Figure:
    """Draw the accuracies as bars, those of the paper as hollow ones behind them."""
    made, (axes,) = canvas.figure(height=3.5)
    tallest = 0.0
    size = 7.0 if canvas.is_narrow() else 9.0
    has_paper = any(bar.paper is not None for bar in found)
    width = 0.36 if has_paper else 0.55
    shift = width / 2 if has_paper else 0.0
    for place, bar in enumerate(found):
        if bar.value is None:
            text = axes.text(place - shift, 1.0, "not run", ha="center", fontsize=9, style="italic")
            if has_paper:  # beside the paper's bar there is no room for a level text
                text.set_rotation(90)
        else:
            percent = 100 * bar.value
            axes.bar(place - shift, percent, width, color=canvas.BLUE)
            axes.text(place - shift, percent + 0.8, f"{percent:.2f}", ha="center", fontsize=size)
            tallest = max(tallest, percent)
        if bar.paper is not None:
            percent = 100 * bar.paper
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": canvas.ORANGE}
            axes.bar(place + shift, percent, width, linewidth=1.4, **look)
            axes.text(place + shift, percent + 0.8, f"{percent:.4g}", ha="center", fontsize=size)
            tallest = max(tallest, percent)
    labels = [f"{bar.label}\n{bar.images:,} images" if bar.images else bar.label for bar in found]
    if canvas.is_narrow():
        labels = [label.replace(", ", ",\n").replace(" images", "\nimages") for label in labels]
    axes.set_xticks(range(len(found)), labels, fontsize=7 if canvas.is_narrow() else 8.5)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(found) - 0.4)
    # on a narrow figure the legend is within the axes, above the bars
    axes.set_ylim(0, (1.3 if canvas.is_narrow() else 1.12) * (tallest or 1))
    axes.set_ylabel("accuracy (top-1, %)")
    axes.set_title(title)
    canvas.grid(axes)
    if has_paper:
        ours = Patch(color=canvas.BLUE, label="ours")
        theirs = Patch(facecolor="none", edgecolor=canvas.ORANGE, label="the paper's (200 classes)")
        top = 1.0 if canvas.is_narrow() else 1.12
        axes.legend(handles=[ours, theirs], loc="upper right", bbox_to_anchor=(1.0, top), ncols=2)
    return made


def describe(found: Sequence[Accuracy]) -> str:
    """The figure in words, for those who do not see it."""
    parts = []
    for bar in found:
        value = "not run" if bar.value is None else f"{100 * bar.value:.2f} %"
        paper = "" if bar.paper is None else f" (the paper's {100 * bar.paper:.4g} %)"
        parts.append(f"{bar.label}: {value}{paper}")
    return "; ".join(parts) + "."
