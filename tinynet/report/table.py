"""A table: made once, and rendered as text for a terminal, as CSV, as Markdown, and on the page.

Numbers are made into cells here, so that they read alike everywhere.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tinynet import files

NOT_RUN = "not run"
GAP = "  "
_LEAST = 20  # characters that a wrapped column keeps
_UNLIMITED = 10_000
# signs that every terminal can show, and a script reads as numbers
_PLAIN = str.maketrans({"−": "-", "…": "to", "—": "-"})


@dataclass(frozen=True)
class Link:
    text: str
    href: str
    title: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell; ``value``: what it sorts by, if that is not its text; "" comes last.

    On the page, ``links`` and then ``after`` take the place of the text, and ``image``, an address,
    comes before it.
    """

    text: str
    value: str | None = None
    links: list[Link] = field(default_factory=list)
    after: str = ""
    is_code: bool = False
    title: str = ""
    image: str = ""


NONE = Cell("—", "")  # nothing to show; it sorts last


@dataclass(frozen=True)
class Column:
    """A column; ``kind``: its style, "number", "name", "runs", "hash", "path" or "".

    One that is not ``is_main`` is folded away on the page, and left out in a terminal that is too
    narrow for all.  ``wraps``: whether its cells are broken into lines if the table is too wide.
    """

    name: str
    kind: str = ""
    is_main: bool = True
    wraps: bool = False

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


@dataclass(frozen=True)
class Table:
    """A table; ``row_ids``: the ids of its rows on the page, [] if no link leads to them."""

    id: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    row_ids: list[str] = field(default_factory=list)

    @property
    def folded(self) -> int:
        """How many columns are folded away at first."""
        return sum(not column.is_main for column in self.columns)

    def main(self) -> Table:
        """The same with its main columns alone."""
        kept = [number for number, column in enumerate(self.columns) if column.is_main]
        rows = [[row[number] for number in kept] for row in self.rows]
        return replace(self, columns=[self.columns[number] for number in kept], rows=rows)


def of_texts(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    wrap: Collection[int] = (),
) -> Table:
    """A table of plain texts; ``right``: its columns of numbers, ``wrap``: those that may wrap."""
    columns = [
        Column(name, "number" if place in right else "", wraps=place in wrap)
        for place, name in enumerate(header)
    ]
    return Table("", "", columns, [[Cell(text) for text in row] for row in rows])


# ------------------------------------------------------------------------------ renderings


def as_text(made: Table, width: int | None = None) -> str:
    """The table as lines, numbers flush right, without its caption.

    ``width``: columns of the terminal (default: stdout's; unlimited if that is not a terminal).  A
    table that is wider keeps only its main columns, with a line that names the others; then its
    wrapping columns are broken into lines.
    """
    left_out: list[str] = []
    if width is None:
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else _UNLIMITED
    if made.folded and sum(_widths(made)) + len(GAP) * (len(made.columns) - 1) > width:
        left_out = [column.name for column in made.columns if not column.is_main]
        made = made.main()
    widths = _fitted(made, width)
    lines = []
    header = [column.name for column in made.columns]
    for number, cells in enumerate((header, *_texts(made))):
        wrapped = [
            textwrap.wrap(text, widths[place]) or [""] if made.columns[place].wraps else [text]
            for place, text in enumerate(cells)
        ]
        for height in range(max(map(len, wrapped), default=0)):
            parts = []
            for piece, column, each in zip(wrapped, made.columns, widths):
                text = piece[height] if height < len(piece) else ""
                parts.append(text.rjust(each) if column.is_number else text.ljust(each))
            lines.append(GAP.join(parts).rstrip())
        if number == 0:
            lines.append(GAP.join("-" * each for each in widths))
    if left_out:
        note = f"Not shown on so narrow a terminal: {', '.join(left_out)}."
        lines += textwrap.wrap(note, max(width, _LEAST))
    return "\n".join(lines)


def _texts(made: Table) -> Iterator[list[str]]:
    for row in made.rows:
        yield [cell.text.translate(_PLAIN) for cell in row]


def _widths(made: Table) -> list[int]:
    cells = [[column.name for column in made.columns], *_texts(made)]
    return [max(len(row[place]) for row in cells) for place in range(len(made.columns))]


def _fitted(made: Table, width: int) -> list[int]:
    """Widths of the columns; those that wrap shrink evenly to fit the whole into ``width``."""
    widths = _widths(made)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    giving = [place for place, column in enumerate(made.columns) if column.wraps]
    if excess > 0:
        for place in giving:
            least = max(len(made.columns[place].name), _LEAST)
            widths[place] = max(least, widths[place] - -(-excess // len(giving)))
    return widths


def as_markdown(made: Table) -> str:
    """The table as Markdown, with all columns and its caption above."""
    rules = ["---:" if column.is_number else "---" for column in made.columns]
    lines = [[_escaped(column.name) for column in made.columns], rules]
    lines += [[_escaped(cell.text) for cell in row] for row in made.rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{_escaped(made.caption)}\n\n{table}" if made.caption else table


def _escaped(text: str) -> str:
    # the signs that mean something in Markdown: a column's end, markup, a tag
    for sign in "\\|*_`<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def as_csv(made: Table) -> str:
    """The table as CSV: all columns, numbers to all their digits, missing values empty."""
    header = [column.name for column in made.columns]
    rows = [map(_csv_cell, row, made.columns) for row in made.rows]
    return files.csv_text([header, *rows])


def _csv_cell(cell: Cell, column: Column) -> str:
    if cell.text.strip("—") == "":
        return ""
    is_interval = "…" in cell.text  # it sorts by its width
    if column.is_number and cell.value is not None and not is_interval:
        return cell.value or cell.text
    return cell.text.translate(_PLAIN)


# ----------------------------------------------------------------------------------- cells


def number(value: float | None, digits: int = 2, sign: bool = False, missing: str = "—") -> Cell:
    """A number to ``digits`` decimals, with a true minus sign; it sorts by all its digits.

    ``sign``: with a plus sign as well.  ``missing``: the text for None, which sorts last.
    """
    if value is None:
        return Cell(missing, "")
    text = f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
    return Cell(text, f"{value:.9g}")


def percent(value: float | None, sign: bool = False, missing: str = "—") -> Cell:
    """A share (0 to 1), or a difference of two, as percent to two decimals."""
    return number(None if value is None else 100 * value, sign=sign, missing=missing)


def interval_cell(found: tuple[float, float] | None, sign: bool = False) -> Cell:
    """Two shares as percent; it sorts by its width."""
    if found is None:
        return NONE
    form = "+.2f" if sign else ".2f"
    low, high = (f"{100 * end:{form}}".replace("-", "−") for end in found)
    return Cell(f"{low} … {high}", f"{found[1] - found[0]:.9g}")
