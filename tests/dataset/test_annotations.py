from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.dataset.annotations import (
    Box,
    decode_text,
    parse_boxes,
    parse_labels,
    parse_wnids,
    parse_words,
)
from tinynet.errors import TinynetError

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1).filter(
    lambda name: name.strip() == name
)
EDGES = st.tuples(st.integers(0, 63), st.integers(0, 63)).map(sorted)
BOXES = st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), EDGES, EDGES)
WNID = st.integers(0, 99_999_999).map(lambda number: f"n{number:08d}")


@given(st.lists(WNID, min_size=1, unique=True), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_wnids_keep_their_order_with_any_line_endings(wnids: list[str], end: str) -> None:
    assert parse_wnids(end.join(wnids), "wnids.txt") == wnids


@given(st.dictionaries(NAMES, BOXES))
def test_boxes_written_as_the_data_set_writes_them_read_back(boxes: dict[str, Box]) -> None:
    text = "".join("\t".join([name, *map(str, box)]) + "\n" for name, box in boxes.items())
    assert parse_boxes(text, "boxes.txt", 64) == boxes


@given(st.dictionaries(NAMES, st.tuples(WNID, BOXES)))
def test_labels_written_as_the_data_set_writes_them_read_back(
    labels: dict[str, tuple[str, Box]],
) -> None:
    text = "".join(
        "\t".join([name, wnid, *map(str, box)]) + "\r\n" for name, (wnid, box) in labels.items()
    )
    assert parse_labels(text, "val_annotations.txt", 64) == labels


@given(st.text())
def test_any_text_is_either_read_or_refused_with_one_line(text: str) -> None:
    for parse in (parse_wnids, parse_words):
        try:
            parse(text, "file.txt")
        except TinynetError as error:
            assert str(error).startswith("file.txt:") and "\n" not in str(error)
    for parse_with_size in (parse_boxes, parse_labels):
        try:
            parse_with_size(text, "file.txt", 64)
        except TinynetError as error:
            assert str(error).startswith("file.txt:") and "\n" not in str(error)


@given(st.binary())
def test_any_bytes_are_text_or_refused_with_one_line(data: bytes) -> None:
    try:
        assert decode_text(data, "file.txt").encode() in (data, data[3:])
    except TinynetError as error:
        assert str(error).startswith("file.txt: is not text") and "\n" not in str(error)


def test_words_may_hold_more_classes_than_the_set_and_names_with_commas() -> None:
    assert parse_words("n01\tcat, house cat\nn02\tdog\n", "words.txt") == {
        "n01": "cat, house cat",
        "n02": "dog",
    }


def test_labels_without_boxes_are_accepted() -> None:
    assert parse_labels("a.JPEG\tn01\n", "f", 64) == {"a.JPEG": ("n01", None)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n01\nn02\nn01\n", "w:3: n01 is there already, in line 1"),
        ("n01 n02\n", "w:1: 'n01 n02' is not a wnid"),
        ("../n01\n", "w:1: '../n01' is not a wnid"),
        ("\n \n", "w: names no class"),
    ],
)
def test_wrong_wnids_are_refused_with_their_line(text: str, message: str) -> None:
    with pytest.raises(TinynetError) as error:
        parse_wnids(text, "w")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.JPEG\t0\t0\t63", "needs 5 fields between tabs, has 4"),
        ("a.JPEG\t0\t0\t63\t6x", "a box is four whole numbers"),
        ("a.JPEG\t0\t0\t64\t63", "but this one is 0 0 64 63"),
        ("a.JPEG\t9\t0\t8\t63", "but this one is 9 0 8 63"),
        ("a.JPEG\t-1\t0\t8\t63", "but this one is -1 0 8 63"),
        ("b.JPEG\t0\t0\t8\t63", "b.JPEG has a box already"),
    ],
)
def test_wrong_boxes_are_refused_with_their_line(line: str, message: str) -> None:
    with pytest.raises(TinynetError) as error:
        parse_boxes(f"b.JPEG\t0\t0\t63\t63\n{line}\n", "boxes.txt", 64)
    assert str(error.value).startswith("boxes.txt:2: ") and message in str(error.value)
