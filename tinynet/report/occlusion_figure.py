"""Draws which parts of an image its answer depends on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinynet.predict.occlusion import Occlusion
from tinynet.report import canvas, shades


@canvas.styled
def draw_occlusions(
    found: Sequence[Occlusion],
    truths: Sequence[str],
    answers: Sequence[str],
    title: str,
) -> Figure:
    """Draw each image with its class, and how much probability hiding each part of it costs.

    Images are side by side, or for a telephone below each other, with the words on the right.
    """
    count = len(found)
    reach = max(100 * float(np.abs(each.drop).max()) for each in found) or 1.0
    if canvas.is_narrow():
        made = canvas.empty(height=1.2 + 1.3 * count)
        rows = made.subplots(count, 3, squeeze=False, width_ratios=(1, 1, 0.9))
        places = [(row[0], row[1]) for row in rows]
        for words, truth, answer, each in zip(rows[:, 2], truths, answers, found):
            said = f"{truth}\n\nsays {answer},\n{100 * each.share:.0f} %"
            lines = "\n".join(textwrap.fill(line, 16) for line in said.split("\n"))
            words.text(0, 0.95, lines, fontsize=8, va="top", transform=words.transAxes)
            words.set_axis_off()
    else:
        made = canvas.empty(height=1.2 + 2 * canvas.WIDTH / max(count, 4))
        rows = made.subplots(2, count, squeeze=False)
        places = list(zip(rows[0], rows[1]))
        for (above, below), truth, answer, each in zip(places, truths, answers, found):
            above.set_title(textwrap.fill(truth, 18), fontsize=8, loc="center")
            said = textwrap.fill(f"says {answer},", 18) + f"\n{100 * each.share:.0f} %"
            below.set_title(said, fontsize=8, loc="center")
    for number, ((above, below), each) in enumerate(zip(places, found)):
        above.imshow(each.seen, interpolation="nearest")
        above.set_axis_off()
        shades.draw(below, 100 * each.drop / reach, f"{number}", *_SIGNS, interpolation="bilinear")
        _bare(below)
    if canvas.is_narrow():
        scale = made.add_axes((0.06, 0.45 / made.get_figheight(), 0.7, 0.12 / made.get_figheight()))
    else:
        scale = made.add_axes((0.9, 0.1, 0.014, 0.32))
    shades.draw_scale(
        scale, -reach, reach, lambda lost: lost / reach, "points lost", "scale", *_SIGNS
    )
    made.suptitle(
        textwrap.fill(title, 42) if canvas.is_narrow() else title, x=0.022, ha="left", size=11
    )
    share = (0, 0.75 / made.get_figheight(), 1, 1 - 0.75 / made.get_figheight())
    rect = share if canvas.is_narrow() else (0, 0, 0.89, 1)
    made.get_layout_engine().set(rect=rect)  # type: ignore[union-attr, call-arg]
    return made


_SIGNS = canvas.ORANGE, canvas.BLUE  # lost, and gained


def _bare(axes: Axes) -> None:
    """Reduce the axes to a faint edge: what costs nothing has the page's own colour."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(canvas.GRID)


def describe(found: Sequence[Occlusion], truths: Sequence[str], answers: Sequence[str]) -> str:
    """The figure in words, for those who do not see it."""
    parts = []
    for each, truth, answer in zip(found, truths, answers):
        y, x = np.unravel_index(int(each.drop.argmax()), each.drop.shape)
        where = (
            ("upper", "middle", "lower")[min(2, 3 * int(y) // len(each.drop))],
            ("left", "centre", "right")[min(2, 3 * int(x) // each.drop.shape[1])],
        )
        parts.append(
            f"{truth}, called {answer}: up to {100 * each.drop.max():.0f} points are lost, most "
            f"at the {' '.join(where)}"
        )
    return "; ".join(parts) + "."
