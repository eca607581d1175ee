"""One table, rendered as text and as CSV."""

from __future__ import annotations

import csv

from tinynet.report.table import (
    Cell,
    Column,
    Table,
    as_csv,
    as_text,
    interval_cell,
    of_texts,
    percent,
)

COLUMNS = [
    Column("stage"),
    Column("accuracy", "number"),
    Column("interval", "number", is_main=False),
    Column("paper", "number"),
]
MADE = Table(
    "stages",
    "A caption.",
    COLUMNS,
    [
        [Cell("first"), percent(0.40267), interval_cell((0.377, 0.429)), percent(None)],
        [Cell("second"), percent(-0.005, sign=True), interval_cell(None), percent(0.5)],
    ],
)


def test_numbers_are_right_aligned_and_every_terminal_can_show_them() -> None:
    assert as_text(MADE).splitlines() == [
        "stage   accuracy        interval  paper",
        "------  --------  --------------  -----",
        "first      40.27  37.70 to 42.90      -",
        "second     -0.50               -  50.00",
    ]
    assert as_text(MADE).isascii()


def test_a_narrow_terminal_shows_the_main_columns_and_names_the_others() -> None:
    assert as_text(MADE, width=39) == as_text(MADE)
    assert as_text(MADE, width=38).splitlines()[2:] == [
        "first      40.27      -",
        "second     -0.50  50.00",
        "Not shown on so narrow a terminal:",
        "interval.",
    ]


def test_text_columns_are_wrapped_where_the_table_is_too_wide() -> None:
    made = of_texts(("job", "message"), [("one", "a word " * 10)], wrap=(1,))
    lines = as_text(made, width=40).splitlines()
    assert max(map(len, lines)) <= 40 and len(lines) > 3
    assert " ".join(line[3:].strip() for line in lines[2:]) == ("a word " * 10).strip()


def test_csv_has_every_column_and_every_digit() -> None:
    header, *rows = csv.reader(as_csv(MADE).splitlines())
    assert header == ["stage", "accuracy", "interval", "paper"]
    assert rows == [["first", "40.267", "37.70 to 42.90", ""], ["second", "-0.5", "", "50"]]
