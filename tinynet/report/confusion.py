"""Which classes are taken for which: the pairs that are confused most, and the whole matrix.

A matrix of many classes has no room for their names.  With more than ``NAMED`` classes, those that
are confused with each other are put side by side and collected into groups.  The matrix of the
groups, which can be read, comes before that of the classes, which shows the pattern.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinynet.predict.guesses import Predictions
from tinynet.report import canvas, shades

NAMED = 40
"""Classes whose names a matrix has room for."""
_NAMED_NARROW = 25  # the same for a telephone
GROUPS = 20
"""Number of groups into which the classes are collected, if there are more classes."""
_LONGEST = 30  # characters of a name on an axis


def confusion_matrix(found: Predictions) -> np.ndarray:
    """Count the images (int64, C×C) of each class (row) by their answer (column).

    Of equally likely classes the last is the answer, as in Caffe's ArgMax layer.  Images without a
    known label are left out.
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
    """The classes in groups of those that are confused, if possible at most GROUPS of them.

    Groups are joined two by two, those that are confused most first, by the mean share of their
    images that go from one to the other.  No group grows beyond three times the average size, so
    that none swallows all.
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
    """The first of a class's names, on one line of at most ``longest`` characters."""
    name = name.split(",")[0].strip() or name
    return name if len(name) <= longest else name[: longest - 1] + "…"


@canvas.styled
def draw_confusion(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Draw the matrix (C×C images, rows are labels) as shares of each label's images.

    For a telephone, names are shorter and only on the left, with their numbers.
    """
    if len(matrix) > (_NAMED_NARROW if canvas.is_narrow() else NAMED):
        made = _grouped(matrix, names, title)
    elif canvas.is_narrow():
        made = _numbered(matrix, names, title)
    else:
        made = _named(matrix, [short(name) for name in names], title)
    made.set_layout_engine("none")
    return made


def _named(matrix: np.ndarray, names: list[str], title: str) -> Figure:
    count = len(matrix)
    size = 8.0 if count <= 25 else 6.5
    margin = 0.3 + max(map(len, names)) * size * 0.57 / 72
    side = canvas.WIDTH - margin - _BAR
    made = canvas.empty(height=side + margin + 0.4)
    axes = _heat(made, matrix, _Place(margin, margin, side), title)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    corner = (margin - 0.08) / canvas.WIDTH, (margin - 0.25) / made.get_figheight()
    made.text(*corner, "label ↑\nanswer →", fontsize=8, ha="right", va="top", linespacing=1.3)
    if count <= 25:
        shares = _shares(matrix)
        for row, column in np.argwhere(np.rint(shares) >= 1):
            share = shares[row, column]
            colour = shades.ink_on(float(_strength(shares)(share)))
            axes.text(
                column, row, f"{share:.0f}", ha="center", va="center", fontsize=6, color=colour
            )
    return made


def _numbered(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    labels = [f"{short(name, 16)}  {number}" for number, name in enumerate(names, 1)]
    margin = _margin(labels)
    side = canvas.NARROW - margin - 0.1
    made = canvas.empty(height=_UNDER + side + _HEAD)
    axes = _heat(made, matrix, _Place(margin, _UNDER, side), title)
    axes.set_yticks(range(len(labels)), labels, fontsize=_NARROW_SIZE)
    numbers = [str(number + 1) for number in range(len(labels))]
    axes.set_xticks(range(len(labels)), numbers, fontsize=_NARROW_SIZE, rotation=90)
    axes.set_xlabel("the answer's class", fontsize=_NARROW_SIZE)
    return made


def _margin(labels: Sequence[str]) -> float:
    """Inches that the labels of rows take, for a telephone."""
    return 0.12 + max(map(len, labels)) * _NARROW_SIZE * 0.56 / 72


def _grouped(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    is_narrow = canvas.is_narrow()
    groups = similar_order(matrix)
    order = [number for group in groups for number in group]
    named, longest = (1, 12) if is_narrow else (2, 17)
    labels = [
        f"{_group_name(group, matrix, names, named, longest)}  {number + 1}"
        for number, group in enumerate(groups)
    ]
    collected = np.array(
        [[matrix[np.ix_(row, column)].sum() for column in groups] for row in groups]
    )
    if is_narrow:
        width, size, turn = canvas.NARROW, _NARROW_SIZE, 90
        margin, beside, under = _margin(labels), 0.1, _UNDER
    else:
        width, size, turn = canvas.WIDTH, 7.0, 0
        margin, beside, under = 0.15 + max(map(len, labels)) * 7 * 0.6 / 72, _BAR, 0.55
    side, large = width - margin - beside, width - 0.6 - beside
    below = under + large + 0.4  # the upper matrix's share starts here
    made = canvas.empty(height=below + under + side + (_HEAD if is_narrow else 0.4))
    upper = _heat(made, collected, _Place(margin, below + under, side), f"{title}, in groups")
    upper.set_yticks(range(len(groups)), labels, fontsize=size)
    numbers = [str(number + 1) for number in range(len(groups))]
    upper.set_xticks(range(len(groups)), numbers, fontsize=size, rotation=turn)
    upper.set_xlabel("the answer's group", fontsize=size)
    place = _Place(0.6, under, large)
    lower = _heat(made, matrix[np.ix_(order, order)], place, f"All {len(order)} classes")
    edges = np.cumsum([0, *map(len, groups)])
    for edge in edges[1:-1]:
        lower.axhline(edge - 0.5, color=canvas.FAINT, linewidth=0.3)
        lower.axvline(edge - 0.5, color=canvas.FAINT, linewidth=0.3)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    shown = _apart(middles, 1.3 * size * len(order) / (72 * large))
    for axis in (lower.xaxis, lower.yaxis):
        axis.set_ticks(middles[shown], [str(n + 1) for n in shown], fontsize=size)
    lower.tick_params(axis="x", rotation=turn)
    lower.set_xlabel("the answer's group", fontsize=size)
    lower.set_ylabel("the label's group", fontsize=size)
    return made


def _apart(places: Sequence[float], least: float) -> list[int]:
    """Numbers of the rising places that are each at least ``least`` from the last one taken."""
    taken: list[int] = []
    for number, place in enumerate(places):
        if not taken or place - places[taken[-1]] >= least:
            taken.append(number)
    return taken


def _group_name(
    group: list[int], matrix: np.ndarray, names: Sequence[str], named: int, longest: int
) -> str:
    """The names of the classes for which the group's images are taken most, and how many more."""
    inside = matrix[np.ix_(group, group)].sum(axis=0)
    first = [short(names[group[at]], longest) for at in np.argsort(-inside, kind="stable")[:named]]
    more = f" +{len(group) - named}" if len(group) > named else ""
    return ", ".join(first) + more


_BAR = 0.85  # inches for the scale of shades and its numbers, on the right
_UNDER = 1.2  # inches for numbers of columns and the scale below them, for a telephone
_HEAD = 0.55  # inches for a title of two lines, for a telephone
_NARROW_SIZE = 7.5  # points


@dataclass(frozen=True)
class _Place:
    """The place of a square matrix, in inches."""

    left: float
    bottom: float
    side: float


def _shares(matrix: np.ndarray) -> np.ndarray:
    """Percent of each row."""
    return 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _strength(shares: np.ndarray) -> shades.Strength:
    """Shades follow the square root of a share, so that what is off the diagonal shows as well."""
    highest = max(1.0, float(shares.max()))
    return lambda share: np.sqrt(share / highest)


def _heat(made: Figure, matrix: np.ndarray, place: _Place, title: str) -> Axes:
    """A square matrix of shares with its scale: on the right, or for a telephone below."""
    width, height = made.get_size_inches()
    left, bottom, side = place.left, place.bottom, place.side

    def axes_at(x: float, y: float, wide: float, high: float) -> Axes:
        return made.add_axes((x / width, y / height, wide / width, high / height))

    axes = axes_at(left, bottom, side, side)
    shares = _shares(matrix)
    strength = _strength(shares)
    name = f"{len(made.axes)}"  # the first matrix's, or the second's
    shades.draw(axes, strength(shares), name)
    if canvas.is_narrow():
        scale = axes_at(left, bottom - 0.72, side, 0.12)
    else:
        scale = axes_at(left + side + 0.1, bottom, 0.12, 0.7 * side)
    highest = max(1.0, float(shares.max()))
    shades.draw_scale(scale, 0, highest, strength, "% of the label's images", f"{name}-scale")
    if canvas.is_narrow():  # from the figure's edge on, where there is more room
        axes.set_title(textwrap.fill(title, 42), x=(0.1 - left) / side)
    else:
        axes.set_title(title)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(canvas.GRID)
        spine.set_visible(True)
    return axes
