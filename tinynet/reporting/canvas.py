"""How every figure looks, and how it reaches its file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

# Okabe and Ito's colours, which people with any kind of colour vision tell apart
INK = "#222222"
FAINT = "#9a9a9a"
BLUE = "#0072B2"
ORANGE = "#D55E00"
SERIES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def styled(draw: Callable[P, None]) -> Callable[P, None]:
    """Decorator: draw under the settings above (matplotlib reads them as each part is made)."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        with matplotlib.rc_context(_STYLE):
            draw(*args, **kwargs)

    return drawn


def figure(width: float = 7.0, height: float = 4.3, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with ``columns`` axes side by side, on Agg: no display is needed."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made, [made.add_subplot(1, columns, column + 1) for column in range(columns)]


def save(made: Figure, path: Path) -> None:
    """Write the PNG under a temporary name, then rename it.  The same figure gives the same file.

    Makes the folder where it is missing.  Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def series_style(number: int) -> dict[str, Any]:
    """Colour and dash of the n-th line: more lines than colours differ in their dashes."""
    return {
        "color": SERIES[number % len(SERIES)],
        "linestyle": DASHES[number // len(SERIES) % len(DASHES)],
    }


def padded_range(values: Sequence[float], least: float) -> tuple[float, float]:
    """Limits that hold all values with some air, at least ``least`` apart."""
    low, high = min(values), max(values)
    air = max(0.08 * (high - low), (least - (high - low)) / 2)
    return low - air, high + air
