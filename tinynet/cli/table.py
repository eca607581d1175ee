"""Plain tables for a terminal: columns as wide as their cells, long text wrapped to fit."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

GAP = "  "


def render(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
    wrap: Sequence[int] = (),
    width: int | None = None,
) -> str:
    """The rows as text under a header.

    ``right``: columns set flush right.  ``wrap``: columns that give way, evenly, when the table is
    wider than ``width`` columns (default: the terminal's; unlimited where stdout is none).
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > 0 and wrap:
        for column in wrap:
            least = len(header[column])
            widths[column] = max(least, 20, widths[column] - -(-excess // len(wrap)))
    lines = []
    for number, row in enumerate(cells):
        wrapped = [
            textwrap.wrap(cell, widths[column]) or [""] if column in wrap else [cell]
            for column, cell in enumerate(row)
        ]
        for height in range(max(map(len, wrapped))):
            parts = [
                _pad(piece[height] if height < len(piece) else "", widths[column], column in right)
                for column, piece in enumerate(wrapped)
            ]
            lines.append(GAP.join(parts).rstrip())
        if number == 0:
            lines.append(GAP.join("-" * w for w in widths))
    return "\n".join(lines)


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
