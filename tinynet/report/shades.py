"""Images of shares: the more opaque a colour, the more there is; nothing is the page itself.

So a matrix has no white cells on a dark page.  A pixel's colour cannot follow the page as a line's
does; the page's style lightens it (``[id*="shade"]`` in report.css).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from tinynet.report import canvas

_STRONG = 0.84
"""Opacity from which paper is read more easily than ink: on a white and on a dark page alike."""

Strength = Callable[[np.ndarray], np.ndarray]


def shaded(strength: np.ndarray, above: str = canvas.BLUE, below: str = canvas.BLUE) -> np.ndarray:
    """RGBA (H×W×4, from 0 to 1) of strengths (H×W) from -1 to 1, by what they are over 0."""
    strength = np.clip(strength, -1, 1)
    colours = np.where((strength < 0)[..., None], to_rgb(below), to_rgb(above))
    return np.concatenate([colours, np.abs(strength)[..., None]], axis=2)


def draw(
    axes: Axes,
    strength: np.ndarray,
    name: str,
    above: str = canvas.BLUE,
    below: str = canvas.BLUE,
    interpolation: str = "none",
) -> None:
    """Draw strengths (H×W, from -1 to 1) on ``axes``; ``name``, unique in the figure, names it."""
    image = axes.imshow(shaded(strength, above, below), interpolation=interpolation)
    image.set_gid(f"shade-{name}")


def draw_scale(
    axes: Axes,
    low: float,
    high: float,
    strength: Strength,
    label: str,
    name: str,
    above: str = canvas.BLUE,
    below: str = canvas.BLUE,
    size: float = 8.0,
) -> None:
    """Fill ``axes`` with the shades of the values from low to high; it may lie or stand.

    ``strength``: of values, from -1 to 1.  ``name``: as of ``draw``.  ``size``: of the text, in
    points.
    """
    lies = axes.bbox.width > axes.bbox.height
    steps = strength(np.linspace(low, high, 256))
    image = axes.imshow(
        shaded(steps[None, :] if lies else steps[:, None], above, below),
        extent=(low, high, 0, 1) if lies else (0, 1, low, high),
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
    )
    image.set_gid(f"shade-{name}")
    axis, other = (axes.xaxis, axes.yaxis) if lies else (axes.yaxis, axes.xaxis)
    other.set_ticks([])
    if not lies:
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
    axis.set_label_text(label, fontsize=size)
    axis.set_tick_params(labelsize=size, length=2)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(canvas.FAINT)
        spine.set_linewidth(0.5)


def ink_on(strength: float) -> str:
    """The colour of a text on a shade of this strength, from 0 to 1."""
    return canvas.PAPER if strength > _STRONG else canvas.INK
