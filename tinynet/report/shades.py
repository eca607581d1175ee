"""Images of shares: the larger a share, the more opaque its colour; 0 is transparent.

So a matrix has no white cells on a dark page.  A pixel's colour cannot follow the page's theme as a
line's does, so the page's style lightens it (``[id*="shade"]`` in report.css).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from tinynet.report import canvas

_STRONG = 0.84
"""Opacity above which text in PAPER is easier to read than in INK, on a light and a dark page."""
_SCALE_TEXT = 8.0  # points

Strength = Callable[[np.ndarray], np.ndarray]


def shaded(strength: np.ndarray, above: str = canvas.BLUE, below: str = canvas.BLUE) -> np.ndarray:
    """RGBA (H×W×4, from 0 to 1) of strengths (H×W, -1 to 1): ``below`` colours those under 0."""
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
) -> None:
    """Fill ``axes`` with the shades of the values from ``low`` to ``high``, along its longer side.

    ``strength``: maps values to strengths from -1 to 1.  ``name``: as for ``draw``.
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
    axis.set_label_text(label, fontsize=_SCALE_TEXT)
    axis.set_tick_params(labelsize=_SCALE_TEXT, length=2)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(canvas.FAINT)
        spine.set_linewidth(0.5)


def ink_on(strength: float) -> str:
    """The colour of a text on a shade of this strength, from 0 to 1."""
    return canvas.PAPER if strength > _STRONG else canvas.INK
