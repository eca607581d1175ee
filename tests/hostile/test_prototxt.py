"""Prototxt from strangers is read, or refused by file and line, in bounded time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from tests.hostile.mangling import FUZZ, bounded_memory, mangled
from tinynet import files
from tinynet.caffeformat import binary, schema, text
from tinynet.errors import TinynetError

ROOT = Path(__file__).parents[2]
NET = (ROOT / "prototxt/stage7_dropout2/train_val.prototxt").read_bytes()


@FUZZ
@given(mangled(NET[:1500]))
def test_mangled_prototxt_is_read_or_refused_with_file_and_line(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(data)
    try:
        net = text.read(path, schema.NetParameter)
    except TinynetError as error:
        assert str(error).startswith(f"{path}:") and len(str(error)) < 1000
    else:
        assert text.parse(text.format(net), schema.NetParameter, "again") == net


@pytest.mark.parametrize(
    "source",
    [
        "layer { " * 100_000,
        "layer { name: [" * 50_000,
        "force_backward: " + "<" * 100_000,
        "layer { param { name: " + "'a' " * 100_000,
        "input_dim: " + "9" * 1_000_000,
        "input_dim: 0x" + "f" * 1_000_000,
        "input_dim: 0" + "7" * 1_000_000,
        "layer { loss_weight: " + "1" * 1_000_000 + "e" + "9" * 1_000_000 + "x",
        "a" * 1_000_000,
        "name: '" + "\\x" * 500_000 + "'",
        "# " + "x" * 1_000_000 + "\n{",
        "input_dim: 1 " * 40_000 + "}",
        'name: "' + "x" * 5_000_000,
    ],
    ids=lambda source: source[:24],
)  # fmt: skip
def test_deep_nesting_and_huge_tokens_are_refused_in_one_short_line(source: str) -> None:
    with pytest.raises(TinynetError) as error:
        text.parse(source, schema.NetParameter, "net.prototxt")
    assert str(error.value).startswith("net.prototxt:") and len(str(error.value)) < 1000


def test_a_file_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(1 << 42)  # sparse: 4 TB that take no room
    for read in (
        lambda: text.read(path, schema.NetParameter),
        lambda: binary.read(path, schema.NetParameter),
        lambda: files.read_sealed_json(path, 1 << 20),
    ):
        with bounded_memory(), pytest.raises(TinynetError, match="longer than"):
            read()
    with pytest.raises(TinynetError, match="longer than 1,000 bytes"):
        binary.read_bytes("/dev/zero", 1000)
