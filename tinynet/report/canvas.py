"""The style of all figures, and their files: PNG, SVG or PDF, by the file's suffix."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinynet import files
from tinynet.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")
MatplotlibFigure = Figure

# Okabe and Ito's colours, which all kinds of colour vision can tell apart, then four more
INK = "#222222"
FAINT = "#8a8a8a"
GRID = "#e6e6e6"
PAPER = "#ffffff"  # the background of a part that covers another
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
PINK = "#cc79a7"
YELLOW = "#e69f00"
SKY = "#56b4e9"
VIOLET = "#6a3d9a"
BROWN = "#8c510a"
OLIVE = "#8f9a1f"
WINE = "#a50f4a"
SERIES = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, INK, VIOLET, BROWN, OLIVE, WINE)
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))
# the same on a dark page: light enough to read, in the same order of hues
DARK = {
    INK: "#e8e8e8",
    FAINT: "#9c9c9c",
    GRID: "#3d3d3d",
    PAPER: "#161616",
    BLUE: "#58aaf0",
    ORANGE: "#ff8b45",
    GREEN: "#35c99d",
    PINK: "#e7a3c8",
    YELLOW: "#f2b93b",
    SKY: "#a9def8",
    VIOLET: "#b79cf0",
    BROWN: "#c9955a",
    OLIVE: "#c6cf5c",
    WINE: "#f0709f",
}

WIDTH = 7.2
"""Width of a figure, in inches: the same for all, so that their text has one size on a page."""
NARROW = 4.0
"""Width of a figure for a telephone, in inches: its text stays as large."""

NOTE_LINE = 0.17
"""Height of a line of ``note_below``, in inches."""

_width: ContextVar[float] = ContextVar("width", default=WIDTH)


@contextlib.contextmanager
def narrow() -> Iterator[None]:
    """Draw the figures of this block NARROW inches wide."""
    before = _width.set(NARROW)
    try:
        yield
    finally:
        _width.reset(before)


def is_narrow() -> bool:
    """Whether the figure being drawn is for a telephone."""
    return _width.get() < WIDTH


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
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": PAPER,
    "svg.fonttype": "path",  # a page looks the same whatever fonts the reader has
    "svg.hashsalt": "tinynet",
    "pdf.fonttype": 42,
    # a class may be called '$100': no text from a file is mathematics
    "text.parse_math": False,
}

_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"dpi": 150, "metadata": {"Software": None}},
    ".svg": {"metadata": dict.fromkeys(("Date", "Creator", "Format", "Type")), "transparent": True},
    ".pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
FORMATS = tuple(_FORMATS)


def styled(act: Callable[P, T]) -> Callable[P, T]:
    """Decorator: draw, or write, with the settings above.

    Matplotlib reads some of them when a part is made, others when the file is written.
    """

    @functools.wraps(act)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context(_STYLE):
            return act(*args, **kwargs)

    return in_style


class DrawnFigure(Figure):
    """A figure that shows itself in a notebook, whatever its backend."""

    def _repr_png_(self) -> bytes:
        return content(self, ".png")


@styled
def content(made: Figure, suffix: str) -> bytes:
    """A figure as the content of a file, in one of FORMATS; an SVG has no background."""
    out = io.BytesIO()
    made.savefig(out, format=suffix[1:], **_FORMATS[suffix])
    return out.getvalue()


def empty(width: float | None = None, height: float = 4.3) -> Figure:
    """A figure (inches) without axes, on Agg: no display is needed."""
    made = DrawnFigure(figsize=(width or _width.get(), height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def figure(
    width: float | None = None, height: float = 4.3, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with ``columns`` axes side by side."""
    made = empty(width, height)
    return made, [made.add_subplot(1, columns, column + 1) for column in range(columns)]


def require_format(path: Path) -> None:
    """Raise UsageError if ``path`` does not end in one of FORMATS."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: a figure is written as {', '.join(FORMATS)}; name one of these")


def save(made: Figure, path: Path) -> None:
    """Write the file atomically; the same figure gives the same bytes.

    The suffix chooses the format.  Makes the folder if it is missing.  Raises OSError, and
    UsageError on another suffix.
    """
    require_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content(made, path.suffix.lower()))


def series_style(number: int) -> dict[str, Any]:
    """Colour and dash of the n-th line; lines that share a colour differ in their dashes."""
    return {
        "color": SERIES[number % len(SERIES)],
        "linestyle": DASHES[number // len(SERIES) % len(DASHES)],
    }


def note_below(made: Figure, note: str) -> None:
    """Put small lines below all axes, which make room for them: ``NOTE_LINE`` inches each."""
    if note:
        made.text(0.012, 0.008, note, fontsize=8, va="bottom", linespacing=1.3)
        share = (NOTE_LINE * (note.count("\n") + 1) + 0.02) / made.get_figheight()
        made.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # type: ignore[union-attr, call-arg]


def grid(axes: Axes, which: str = "y") -> None:
    """Draw faint lines behind everything else, across the axis ``which``."""
    axes.grid(axis=which, color=GRID, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def padded_range(values: Sequence[float], least: float) -> tuple[float, float]:
    """Limits around all values with some margin, at least ``least`` apart."""
    low, high = min(values), max(values)
    margin = max(0.08 * (high - low), (least - (high - low)) / 2)
    return low - margin, high + margin
