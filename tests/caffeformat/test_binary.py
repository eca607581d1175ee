"""Binary messages are written whole or not at all, and no bytes make the reader fail oddly."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.caffeformat import messages
from tinynet.caffeformat import binary, schema
from tinynet.errors import TinynetError


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    message = messages.fill(schema.NetParameter(), random.Random(1))
    binary.write(tmp_path / "net.caffemodel", message)
    assert binary.read(tmp_path / "net.caffemodel", schema.NetParameter) == message
    assert [path.name for path in tmp_path.iterdir()] == ["net.caffemodel"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    binary.write(path, schema.SolverState(iter=1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        binary.write(path, schema.SolverState(iter=2))
    assert binary.read(path, schema.SolverState).iter == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_required_field_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    layer = schema.LayerParameter(name="clip")
    layer.clip_param.min = 1
    with pytest.raises(TinynetError, match=r"clip: LayerParameter needs the field 'clip_param.max"):
        binary.write(tmp_path / "clip", layer)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "half.caffemodel"
    net = schema.NetParameter(name="n")
    net.layer.add(name="conv1").blobs.add(data=[1.0] * 100)
    path.write_bytes(net.SerializeToString()[:200])
    with pytest.raises(TinynetError, match=r"half\.caffemodel: no NetParameter \(200 bytes\)"):
        binary.read(path, schema.NetParameter)


@given(st.binary(max_size=200), st.sampled_from(sorted(schema.MESSAGES)))
def test_any_bytes_give_a_message_or_a_tinynet_error(data: bytes, kind: str) -> None:
    try:
        binary.parse(data, schema.MESSAGES[kind], "any")
    except TinynetError as error:
        assert str(error).startswith("any: no ")


@given(st.data())
def test_a_message_with_changed_bytes_gives_a_message_or_a_tinynet_error(
    data: st.DataObject,
) -> None:
    seed = data.draw(st.integers(0, 50))
    wire = bytearray(messages.fill(schema.NetParameter(), random.Random(seed)).SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        if wire:
            wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        binary.parse(bytes(wire), schema.NetParameter, "changed")
    except TinynetError as error:
        assert str(error).startswith("changed: ")
