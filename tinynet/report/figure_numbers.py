"""The numbers behind each figure, as tables that the page offers as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinynet.predict.occlusion import Occlusion
from tinynet.predict.subsets import SubsetScores
from tinynet.report.accuracies import Accuracy
from tinynet.report.architecture import Block
from tinynet.report.bars import Bar
from tinynet.report.curves import History
from tinynet.report.search_plane import Point
from tinynet.report.table import Cell, Column, Table

_CURVES = ("train_loss", "val_loss", "val_accuracy", "lr")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Numbers are written as they are: shares from 0 to 1, losses in nats."""
    cells = [[Cell("" if value is None else _text(value)) for value in row] for row in rows]
    return Table("", "", [Column(name) for name in columns], cells)


def _text(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}" if np.isfinite(value) else str(value)
    return str(value)


def bars(found: Sequence[Bar]) -> Table:
    columns = ("step", "accuracy", "low", "high", "gain", "gain_low", "gain_high", "paper_gain")
    rows = [
        (
            *(bar.label, bar.accuracy, *(bar.interval or (None, None))),
            *(bar.gain, *(bar.gain_interval or (None, None)), bar.paper_gain),
        )
        for bar in found
    ]
    return _table(columns, rows)


def subsets(scores: SubsetScores) -> Table:
    """A line for each dot: how many subsets of one size have one accuracy.

    A line for each subset would take megabytes: 20 members have a million.
    """
    pairs = np.stack([scores.sizes, scores.correct])[:, 1:]  # without the empty subset
    dots, counts = np.unique(pairs, axis=1, return_counts=True)
    return _table(
        ("models", "subsets", "accuracy"),
        [(size, n, correct / scores.images) for (size, correct), n in zip(dots.T, counts)],
    )


def accuracies(found: Sequence[Accuracy]) -> Table:
    return _table(
        ("images", "count", "accuracy", "paper"),
        [
            (each.label.replace("\n", " "), each.images or "", each.value, each.paper)
            for each in found
        ],
    )


def curves(histories: Mapping[str, Sequence[History]]) -> Table:
    """One line for each iteration at which a run of a stage displayed or tested something."""
    rows = [
        (label, number, record.get("iteration"), *(record.get(key) for key in _CURVES))
        for label, runs in histories.items()
        for number, history in enumerate(runs, 1)
        for record in history
        if any(key in record for key in _CURVES[:3])
    ]
    return _table(("stage", "run", "iteration", *_CURVES), rows)


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Table:
    """Rows are classes, columns answers."""
    return _table(("class", *names), [(name, *row) for name, row in zip(names, matrix.tolist())])


def filters(found: np.ndarray) -> Table:
    """One line for each filter and colour, its weights row by row."""
    height, width = found.shape[2:]
    rows = [
        (number, colour, *(f"{value:.4g}" for value in plane.ravel()))
        for number, each in enumerate(found, 1)
        for colour, plane in zip(("red", "green", "blue"), each)
    ]
    places = [f"row{y + 1}_column{x + 1}" for y in range(height) for x in range(width)]
    return _table(("filter", "colour", *places), rows)


def maps(found: np.ndarray) -> Table:
    """Lowest, mean and highest value of each feature map: all values would take a megabyte."""
    return _table(
        ("map", "lowest", "mean", "highest"),
        [(n, float(m.min()), float(m.mean()), float(m.max())) for n, m in enumerate(found, 1)],
    )


def blocks(found: Sequence[Block]) -> Table:
    return _table(
        ("blob", "made_by", "shape", "parameters"),
        [(block.name, block.type, block.size, block.parameters) for block in found],
    )


def plane(found: Sequence[Point], names: tuple[str, str]) -> Table:
    return _table(
        (*names, "accuracy", "complete"),
        [(point.x, point.y, point.accuracy, int(point.complete)) for point in found],
    )


def occlusions(found: Sequence[Occlusion], truths: Sequence[str], answers: Sequence[str]) -> Table:
    """One line for each row of pixels: how much probability hiding each pixel costs the answer."""
    width = max(each.drop.shape[1] for each in found)
    rows = [
        (truth, answer, y, *(f"{value:.3g}" for value in line))
        for each, truth, answer in zip(found, truths, answers)
        for y, line in enumerate(each.drop, 1)
    ]
    return _table(("class", "answer", "row", *(f"column{x + 1}" for x in range(width))), rows)
