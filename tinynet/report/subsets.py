"""Figure 5 of the paper: accuracy of every subset of the models against its size."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinynet.predict.subsets import SubsetScores
from tinynet.report import canvas


@canvas.styled
def draw_subsets(scores: SubsetScores, images: str = "validation", wanted: int = 0) -> Figure:
    """Draw every subset as a dot, the best of each size as a line, and mark all of them together.

    ``images``: the name of the images that were measured.  ``wanted``: the number of models of the
    whole ensemble, where that is more than these.
    """
    made, (axes,) = canvas.figure()
    sizes = scores.sizes[1:]
    # subsets of one size and accuracy fall on one dot: a million of them are a few thousand dots
    dots = np.unique(np.stack([sizes, scores.correct[1:]]), axis=1)
    percent = 100 / scores.images
    members = scores.members
    models = _models(members, wanted)
    axes.plot(
        dots[0],
        dots[1] * percent,
        linestyle="none",
        marker="o",
        markersize=3.2,
        markeredgewidth=0,
        color=canvas.FAINT,
        alpha=0.55,
        label=f"each of {len(scores.correct) - 1:,} subsets",
    )
    best = [scores.best_of_size(size) for size in range(1, members + 1)]
    heights = [100 * scores.accuracy(mask) for mask in best]
    axes.plot(
        range(1, members + 1),
        heights,
        color=canvas.BLUE,
        linewidth=1.6,
        marker="o",
        markersize=4.5,
        label=f"best of each size (highest: {max(heights):.2f} % with {_argmax(heights) + 1})",
    )
    full = 100 * scores.accuracy(scores.full)
    axes.plot(
        [members],
        [full],
        linestyle="none",
        marker="D",
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.8,
        markeredgecolor=canvas.ORANGE,
        label=f"{'all ' if members >= wanted else ''}{models} averaged: {full:.2f} %",
    )
    axes.set_xlabel("models averaged")
    axes.set_ylabel(f"{images} accuracy (top-1, %)")
    title = f"Accuracy of every subset of {models}, {scores.images:,} images"
    axes.set_title(textwrap.fill(title, 40) if canvas.is_narrow() else title)
    axes.set_xlim(0.5, members + 0.5)
    axes.set_ylim(*canvas.padded_range(list(dots[1] * percent), least=1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
    canvas.grid(axes)
    if canvas.is_narrow():
        made.legend(loc="outside lower left")
    else:
        axes.legend(loc="lower right")
    return made


def _models(members: int, wanted: int) -> str:
    """The number of models; of an unfinished ensemble "3 of 11", since it is not the whole one."""
    return f"{members} models" if members >= wanted else f"{members} of {wanted} models"


def _argmax(values: list[float]) -> int:
    return values.index(max(values))


def describe(scores: SubsetScores, wanted: int = 0) -> str:
    """The figure in words, for those who do not see it; ``wanted`` as in ``draw_subsets``."""
    best = [scores.accuracy(scores.best_of_size(n + 1)) for n in range(scores.members)]
    singles = [scores.accuracy(1 << m) for m in range(scores.members)]
    return (
        f"A dot for each of {len(scores.correct) - 1:,} subsets of "
        f"{_models(scores.members, wanted)}. Single models reach {100 * min(singles):.2f} to "
        f"{100 * max(singles):.2f} %, the best subset {100 * max(best):.2f} % with "
        f"{_argmax(best) + 1} averaged, those {scores.members} together "
        f"{100 * scores.accuracy(scores.full):.2f} %."
    )
