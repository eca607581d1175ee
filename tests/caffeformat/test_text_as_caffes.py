"""Our reader takes what real Caffe takes; google.protobuf.text_format does not, so ours stays.

golden/reader.json has what Debian 11's Caffe (the C++ TextFormat of protobuf 3.12) makes of each of
reader_cases.CASES: the message as it prints it, or null where it aborts.
"""

from __future__ import annotations

import json
from typing import Callable

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message

from tests.caffeformat.reader_cases import CASES, GOLDEN
from tinynet.caffeformat import schema, text, upgrade
from tinynet.errors import TinynetError

CAFFES: list[str | None] = json.loads(GOLDEN.read_text())
assert len(CAFFES) == len(CASES)
NOT_UTF8 = "Caffe reads it with a warning, and pycaffe then fails on the name"
# where we differ from Caffe on purpose
DEPARTURES = {
    b'\xef\xbb\xbfname: "bom"': "an editor's mark, which says nothing",
    b'name: "\xff"': NOT_UTF8,
    b'name: "\xed\xa0\x80"': NOT_UTF8,
    rb'name: "\xff"': NOT_UTF8,
    rb'name: "\303"': NOT_UTF8,
    rb'name: "\ud800"': NOT_UTF8,
    rb'name: "\U00110000"': NOT_UTF8,
    rb'name: "\400"': "no byte: Caffe takes it for \\000",
    rb'name: "\ud83d\ude00"': "one character in two escapes, which older Caffes do not join",
}
# What the Python text_format of protobuf 3.6.0, 3.20.3 and 7.36 all read otherwise than Caffe does.
MISREAD = [
    *(rb'name: "\q"', rb'name: "\X41"', rb'name: "\8"', 'name: \u00a0"a"'.encode()),
    *(b"input_dim: +3", b"input_dim: - 3", b"input_dim: 1_000", b"input_dim: 0b1"),
    *(b"force_backward: 01", b"state { phase: 01 }", b'# \xff comment\nname: "a"'),
    *(b"layer { loss_weight: inff }", b"layer { loss_weight: +1 }"),
]


def ours(source: bytes, kind: type[Message]) -> Message:
    return text.parse(source.decode("utf-8-sig", "surrogateescape"), kind, "case")


def protobufs(source: bytes, kind: type[Message]) -> Message:
    return text_format.Parse(source.decode("utf-8"), kind())


def is_read_as_by_caffe(
    reader: Callable[[bytes, type[Message]], Message], number: int, errors: type[Exception]
) -> bool:
    kind, source = CASES[number]
    caffes = CAFFES[number]
    try:
        message = reader(source, schema.MESSAGES[kind])
    except errors:
        return caffes is None
    if caffes is None:
        return False
    if isinstance(message, schema.NetParameter):
        upgrade.upgrade(message, "case")
    elif isinstance(message, schema.SolverParameter):
        upgrade.upgrade_solver(message, "case")
    return text.format(message) == text.format(ours(caffes.encode(), schema.MESSAGES[kind]))


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: ascii(CASES[n][1])[2:-1][:60])
def test_a_text_is_read_as_caffe_reads_it_or_refused_as_caffe_refuses_it(number: int) -> None:
    expected = CASES[number][1] not in DEPARTURES
    assert is_read_as_by_caffe(ours, number, TinynetError) == expected


@pytest.mark.parametrize("source", MISREAD, ids=ascii)
def test_protobufs_own_reader_differs_from_caffes(source: bytes) -> None:
    """If this ever fails for every case, text_format can replace our reader."""
    number = [text for _, text in CASES].index(source)
    assert is_read_as_by_caffe(ours, number, TinynetError)
    assert not is_read_as_by_caffe(protobufs, number, Exception)
