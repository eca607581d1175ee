"""A figure of a report, and the options of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import TinynetError
from tinynet.experiment.paths import PROTOTXT_ROOT
from tinynet.report.canvas import MatplotlibFigure
from tinynet.report.table import Table


class Absent(TinynetError):
    """What a figure needs has not run, or is not here; the message says how to get it."""


@dataclass(frozen=True)
class Figure:
    """A figure that can be drawn.

    ``stem``: names its file.  ``caption``: says what is drawn and how; ``alt``: what it shows.
    ``runs``: the names of the runs whose numbers are in it.  ``draw``: draws it.  ``numbers``:
    makes the table of what it shows.
    """

    stem: str
    title: str
    caption: str
    alt: str
    runs: list[str]
    draw: Callable[[], MatplotlibFigure]
    numbers: Callable[[], Table]


@dataclass(frozen=True)
class FigureOptions:
    """The options of ``tinynet report`` on which figures depend."""

    stage: int | None = None
    image: str | None = None
    engine: str = "auto"
    prototxt: Path = PROTOTXT_ROOT
