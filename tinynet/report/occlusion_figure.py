"""Draws which parts of images an answer rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinynet.predict.occlusion import Occlusion
from tinynet.report import canvas


@canvas.styled
def draw_occlusions(
    found: Sequence[Occlusion],
    truths: Sequence[str],
    answers: Sequence[str],
    path: canvas.Target,
    title: str,
) -> None:
    """Above, each image with its class; below, how much probability hiding a part costs."""
    made = canvas.empty(height=0.9 + 2 * canvas.WIDTH / max(len(found), 4))
    rows = made.subplots(2, len(found), squeeze=False)
    reach = max(100 * float(np.abs(each.drop).max()) for each in found) or 1.0
    for place, each in enumerate(found):
        above, below = rows[0][place], rows[1][place]
        above.imshow(each.seen, interpolation="nearest")
        above.set_title(truths[place], fontsize=8, loc="center")
        shown = below.imshow(
            100 * each.drop, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="bilinear"
        )
        below.set_title(
            f"says {answers[place]},\n{100 * each.share:.0f} %", fontsize=8, loc="center"
        )
        for axes in (above, below):
            axes.set_axis_off()
    bar = made.colorbar(shown, ax=rows[1].tolist(), shrink=0.8, pad=0.02)
    bar.set_label("points lost", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    made.suptitle(title, x=0.022, ha="left", size=11)
    canvas.save(made, path)


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
