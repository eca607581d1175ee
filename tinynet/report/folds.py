"""Cross-validation: held-out accuracy of every fold, and how much two kinds of images differ."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinynet.report import canvas
from tinynet.study.cross_validation import StageFolds

_NAME, _NARROW_NAME = 40, 16  # characters in a line of a stage's name


@canvas.styled
def draw_folds(stages: Sequence[StageFolds]) -> Figure:
    """Draw a line for each stage: its folds as dots, and their mean with its interval.

    The panel on the right, or below on a narrow figure, shows how much more accurate the same nets
    are on held-out training images than on held-out validation images.
    """
    is_narrow = canvas.is_narrow()  # then one panel above the other
    made = canvas.empty(height=(2 if is_narrow else 1) * (1.5 + 0.6 * len(stages)))
    if is_narrow:
        left, right = made.subplots(2, 1)
    else:
        left, right = made.subplots(1, 2, sharey=True, width_ratios=(1.35, 1))
    for place, stage in enumerate(stages):
        ran = [100 * value for value in stage.folds if value is not None]
        left.scatter(ran, [place] * len(ran), s=34, color=canvas.SKY, edgecolors=canvas.BLUE)
        if stage.mean is None:
            lost = len(stage.diverged)
            missing = len(stage.folds) - len(ran) - lost
            parts = [f"{n} {what}" for n, what in ((missing, "not run"), (lost, "diverged")) if n]
            text = f"of {len(stage.folds)} folds {', '.join(parts)}"
            left.text(0.02, place + 0.34, text, fontsize=8, style="italic",
                      transform=left.get_yaxis_transform())  # fmt: skip
            continue
        if stage.by_fold is not None:
            _interval(left, stage.mean, stage.by_fold, place + 0.24, canvas.BLUE)
        less, interval = stage.train_less_val, stage.train_less_val_interval
        if less is not None and interval is not None:
            _interval(right, less, interval, place, canvas.ORANGE)
    width = _NARROW_NAME if is_narrow else _NAME
    names = [textwrap.fill(stage.name, width) for stage in stages]
    for axes in (left, right):
        axes.set_yticks(range(len(stages)), names)
        axes.set_ylim(len(stages) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
    right.tick_params(axis="y", labelleft=is_narrow)
    left.set_xlabel("held-out accuracy (top-1, %)")
    right.set_xlabel("training less validation\nimages (points)")
    right.axvline(0, color=canvas.FAINT, linewidth=1)
    canvas.grid(left, "x")
    canvas.grid(right, "x")
    made.suptitle("Cross-validation: each fold held out once", x=0.01, ha="left", fontsize=11)
    return made


def _interval(
    axes: Axes, middle: float, interval: tuple[float, float], place: float, color: str
) -> None:
    low, high = interval
    axes.errorbar(
        100 * middle,
        place,
        xerr=[[100 * (middle - low)], [100 * (high - middle)]],
        fmt="D",
        markersize=5,
        color=color,
        capsize=3,
    )


def describe(stages: Sequence[StageFolds]) -> str:
    """The figure in words, for those who do not see it."""
    parts = []
    for stage in stages:
        folds = ", ".join(
            stage.absence(number) if accuracy is None else f"{100 * accuracy:.2f} %"
            for number, accuracy in enumerate(stage.folds, 1)
        )
        text = f"{stage.name}: folds {folds}"
        if stage.mean is not None:
            text += f", mean {100 * stage.mean:.2f} %"
        if stage.train_less_val is not None:
            text += (
                f"; on held-out training images {100 * stage.train_less_val:+.2f} points against "
                "held-out validation images"
            )
        parts.append(text)
    return ". ".join(parts) + "."
