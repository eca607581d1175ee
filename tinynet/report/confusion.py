"""Which classes are taken for which: the pairs that are confused most, and the whole matrix.

A matrix of many classes cannot show its names.  Beyond ``NAMED`` classes those that are confused
with each other are put side by side and collected into groups, and the matrix of the groups, which
can be read, stands before that of the classes, which shows the pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from tinynet.predict.guesses import Predictions
from tinynet.report import canvas

NAMED = 40
"""Classes whose names a matrix has room for."""
GROUPS = 20
"""Groups that more classes than that are collected into."""
_LONGEST = 30  # characters of a name on an axis


def confusion_matrix(found: Predictions) -> np.ndarray:
    """Images (int64, C×C) of each class (row) by what they are taken for (column).

    Of equally likely classes the last counts as the answer, as in Caffe's ArgMax layer.
    Images without a known label are left out.
    """
    known = found.labels >= 0
    classes = len(found.wnids)
    answers = found.best[known]
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (found.labels[known], answers), 1)
    return matrix


@dataclass(frozen=True)
class Confusion:
    """``count`` of the ``images`` of class ``label`` were taken for class ``answer``."""

    label: int
    answer: int
    count: int
    images: int

    @property
    def share(self) -> float:
        return self.count / self.images


def top_confusions(matrix: np.ndarray, limit: int = 20) -> list[Confusion]:
    """The pairs of different classes that are confused most, by share of the label's images."""
    totals = matrix.sum(axis=1)
    pairs = [
        Confusion(int(row), int(column), int(matrix[row, column]), int(totals[row]))
        for row, column in np.argwhere(matrix)
        if row != column
    ]
    return sorted(pairs, key=lambda p: (-p.share, -p.count, p.label, p.answer))[:limit]


def similar_order(matrix: np.ndarray) -> list[list[int]]:
    """The classes in groups of those that are confused, at most GROUPS of them.

    Groups are joined two by two, those that are confused most first, by the mean share of their
    images that go from one to the other; a group that has grown beyond three times its fair size
    joins no more, so that no group swallows all.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    traffic = shares + shares.T
    np.fill_diagonal(traffic, 0.0)
    groups = [[number] for number in range(len(matrix))]
    largest = max(2, 3 * len(matrix) // GROUPS)
    while len(groups) > GROUPS:
        sizes = np.array([len(group) for group in groups])
        mean = traffic / np.outer(sizes, sizes)
        mean[sizes[:, None] + sizes > largest] = -1.0
        np.fill_diagonal(mean, -2.0)
        first, second = sorted(np.unravel_index(int(mean.argmax()), mean.shape))
        if mean[first, second] < 0:
            break
        groups[first] += groups.pop(second)
        traffic[first] += traffic[second]
        traffic[:, first] += traffic[:, second]
        traffic = np.delete(np.delete(traffic, second, axis=0), second, axis=1)
        traffic[first, first] = 0.0
    return groups


def short(name: str, longest: int = _LONGEST) -> str:
    """A class's name on one line of at most ``longest`` characters: its first synonym."""
    name = name.split(",")[0].strip() or name
    return name if len(name) <= longest else name[: longest - 1] + "…"


@canvas.styled
def draw_confusion(
    matrix: np.ndarray, names: Sequence[str], path: canvas.Target, title: str
) -> None:
    """Draw the matrix (C×C images, rows are labels) as shares of each label's images."""
    if len(matrix) <= NAMED:
        made = _named(matrix, [short(name) for name in names], title)
    else:
        made = _grouped(matrix, names, title)
    made.set_layout_engine("none")
    canvas.save(made, path)


def _named(matrix: np.ndarray, names: list[str], title: str) -> Figure:
    count = len(matrix)
    size = 8.0 if count <= 25 else 6.5
    margin = 0.3 + max(map(len, names)) * size * 0.57 / 72
    side = canvas.WIDTH - margin - _BAR
    made = canvas.empty(height=side + margin + 0.4)
    axes = _heat(made, matrix, (margin, margin, side), title)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    corner = (margin - 0.08) / canvas.WIDTH, (margin - 0.25) / made.get_figheight()
    made.text(*corner, "label ↑\nanswer →", fontsize=8, ha="right", va="top", linespacing=1.3)
    if count <= 25:
        shares = _shares(matrix)
        for row, column in np.argwhere(shares >= 0.5):
            axes.text(
                column,
                row,
                f"{shares[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color=_ON_DARK if shares[row, column] > 0.3 * shares.max() else "black",
            )
    return made


def _grouped(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    groups = similar_order(matrix)
    order = [number for group in groups for number in group]
    labels = [
        f"{_group_name(group, matrix, names)}  {number + 1}" for number, group in enumerate(groups)
    ]
    collected = np.array(
        [[matrix[np.ix_(row, column)].sum() for column in groups] for row in groups]
    )
    margin = 0.15 + max(map(len, labels)) * 7 * 0.6 / 72
    side = canvas.WIDTH - margin - _BAR
    large = canvas.WIDTH - 0.6 - _BAR
    made = canvas.empty(height=side + large + 1.9)
    upper = _heat(made, collected, (margin, large + 1.5, side), f"{title}, in groups")
    upper.set_yticks(range(len(groups)), labels, fontsize=7)
    upper.set_xticks(range(len(groups)), [str(n + 1) for n in range(len(groups))], fontsize=7)
    upper.set_xlabel("the answer's group")
    place = (0.6, 0.55, large)
    lower = _heat(made, matrix[np.ix_(order, order)], place, f"All {len(order)} classes")
    edges = np.cumsum([0, *map(len, groups)])
    for edge in edges[1:-1]:
        lower.axhline(edge - 0.5, color=canvas.FAINT, linewidth=0.3)
        lower.axvline(edge - 0.5, color=canvas.FAINT, linewidth=0.3)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    shown = [n for n, group in enumerate(groups) if len(group) >= len(order) / 50]
    for axis in (lower.xaxis, lower.yaxis):
        axis.set_ticks(middles[shown], [str(n + 1) for n in shown], fontsize=7)
    lower.set_xlabel("the answer's group")
    lower.set_ylabel("the label's group")
    return made


def _group_name(group: list[int], matrix: np.ndarray, names: Sequence[str]) -> str:
    """The names of the group's two classes that its images are taken for most, and how many."""
    inside = matrix[np.ix_(group, group)].sum(axis=0)
    first = [short(names[group[at]], 17) for at in np.argsort(-inside, kind="stable")[:2]]
    more = f" +{len(group) - 2}" if len(group) > 2 else ""
    return ", ".join(first) + more


# white to one dark blue: light is little in print, and the order survives in grey
_BLUES = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#9cc9e8", "#0072b2", "#00263d"])
_ON_DARK = "#fefefe"  # no colour of the canvas: those turn round on a dark page, cells do not
_BAR = 0.85  # inches for the scale of colours and its numbers


def _shares(matrix: np.ndarray) -> np.ndarray:
    """Percent of each row."""
    return 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _heat(made: Figure, matrix: np.ndarray, place: tuple[float, float, float], title: str) -> Axes:
    """A square matrix of shares at ``place`` (left, bottom and side in inches) with its scale.

    Colours follow the square root: the diagonal must not drown what lies beside it.
    """
    width, height = made.get_size_inches()
    left, bottom, side = place
    axes = made.add_axes((left / width, bottom / height, side / width, side / height))
    scale = made.add_axes(
        ((left + side + 0.1) / width, bottom / height, 0.12 / width, 0.7 * side / height)
    )
    shares = _shares(matrix)
    norm = PowerNorm(0.5, vmin=0, vmax=max(1.0, shares.max()))
    image = axes.imshow(shares, cmap=_BLUES, norm=norm, interpolation="nearest")
    bar = made.colorbar(image, cax=scale)
    bar.set_label("% of the label's images")
    bar.outline.set_visible(False)
    axes.set_title(title)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes
