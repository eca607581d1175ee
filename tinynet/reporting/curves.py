"""Learning curves: losses and validation accuracy of runs against their iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from tinynet.errors import TinynetError
from tinynet.reporting import canvas

_SMOOTH = 25  # displayed training losses averaged, at most a tenth of all there are
_LOSS_CEILING = 1.15  # of the first loss: one spike must not flatten everything else


@canvas.styled
def draw_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw the histories (records of ``history.jsonl``, by the name of their run) as a PNG.

    Left the loss, training thin (a running mean of what the solver displayed) and validation bold;
    right the validation accuracy.  Values that are missing or not finite leave a gap.
    Raises TinynetError where no history holds anything to draw.
    """
    if not any(_points(records, key) for records in histories.values() for key in _KEYS):
        raise TinynetError("no run has a history yet, so there are no learning curves to draw")
    columns = 2 if len(histories) <= 10 else 3
    made, (loss, accuracy) = canvas.figure(9.5, 4.0 + 0.2 * (len(histories) // columns), columns=2)
    handles = []
    first_losses = []
    for number, (name, records) in enumerate(histories.items()):
        look: dict[str, Any] = canvas.series_style(number)
        training = _running_mean(_points(records, "train_loss"))
        validation = _points(records, "val_loss")
        first_losses += [points[0][1] for points in (training, validation) if points]
        _plot(loss, training, **look, linewidth=0.8, alpha=0.75)
        _plot(loss, validation, **look, linewidth=1.8, marker="o", markersize=2.5)
        scores = [(x, 100 * y) for x, y in _points(records, "val_accuracy")]
        _plot(accuracy, scores, **look, linewidth=1.8, marker="o", markersize=2.5)
        handles.append(Line2D([], [], **look, linewidth=1.8, label=name))
    loss.set_title("Loss: training thin, validation bold")
    loss.set_ylabel("loss (nats)")
    accuracy.set_title("Validation accuracy")
    accuracy.set_ylabel("top-1 (%)")
    bottom, top = loss.get_ylim()
    if first_losses:
        top = min(top, _LOSS_CEILING * max(first_losses))
    loss.set_ylim(max(0, bottom), top)
    accuracy.set_ylim(bottom=0)
    for axes in (loss, accuracy):
        axes.set_xlabel("iteration")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
        axes.set_axisbelow(True)
    made.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
    canvas.save(made, path)


_KEYS = ("train_loss", "val_loss", "val_accuracy")
_Points = list[tuple[int, float]]


def _points(records: Sequence[Mapping[str, Any]], key: str) -> _Points:
    """(iteration, value) of the records that have one."""
    return [
        (record["iteration"], float(record[key]))
        for record in records
        if isinstance(record.get(key), (int, float))
    ]


def _running_mean(points: _Points) -> _Points:
    """Mean of each value and those before it, over a short window."""
    window = max(1, min(_SMOOTH, len(points) // 10))
    out = []
    for end in range(1, len(points) + 1):
        part = [value for _, value in points[max(0, end - window) : end]]
        out.append((points[end - 1][0], sum(part) / len(part)))
    return out


def _plot(axes: Axes, points: _Points, **look: Any) -> None:
    if points:
        axes.plot([x for x, _ in points], [y for _, y in points], **look)
