"""What a table of the page is made of: cells, numbers as text, and links to runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tinynet.report.report_data import ReportData

NOT_RUN = "not run"


@dataclass(frozen=True)
class Link:
    text: str
    href: str
    title: str = ""


@dataclass(frozen=True)
class Cell:
    """``value`` is what it sorts by, where that is not its text; "" comes last."""

    text: str
    value: str | None = None
    links: list[Link] = field(default_factory=list)
    is_code: bool = False
    title: str = ""


@dataclass(frozen=True)
class Column:
    """``kind`` is its style: "number", "name", "runs", "hash", "path" or ""."""

    name: str
    kind: str = ""

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


@dataclass(frozen=True)
class Row:
    cells: list[Cell]
    id: str = ""


@dataclass(frozen=True)
class Table:
    id: str
    caption: str
    columns: list[Column]
    rows: list[Row]


def run_id(report_data: ReportData, name: str) -> str:
    """The id of a run's row in the table of runs: by its place, since names may hold anything."""
    names = [run.name for run in report_data.runs]
    return f"run-{names.index(name) + 1}" if name in names else ""


def run_links(
    report_data: ReportData, names: Sequence[str], texts: Sequence[str] | None = None
) -> list[Link]:
    """Links to the rows of runs, by their names or by ``texts``, which then say them when asked.

    A name that is no run's (a prototxt) is left out.
    """
    found = [(name, run_id(report_data, name)) for name in names]
    return [
        Link(text, f"#{anchor}", "" if text == name else name)
        for text, (name, anchor) in zip(texts or names, found)
        if anchor
    ]


def number(value: float | None, digits: int = 2, sign: bool = False, missing: str = "—") -> Cell:
    """A number to ``digits`` decimals, with a true minus sign; it sorts by all its digits.

    ``sign``: with a plus as well; ``missing`` stands for None, which sorts last.
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
        return Cell("—", "")
    form = "+.2f" if sign else ".2f"
    low, high = (f"{100 * end:{form}}".replace("-", "−") for end in found)
    return Cell(f"{low} … {high}", f"{found[1] - found[0]:.9g}")
