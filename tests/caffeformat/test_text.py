"""Prototxt reads as real Caffe reads it, prints stably, and errs in one clear line."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.caffeformat import messages
from tests.caffeformat.test_schema import NEWER_FIELDS
from tests.conftest import run_python
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.text import PrototxtError
from tinynet.errors import TinynetError

SCRIPT = Path(__file__).with_name("in_caffe.py")

# Every notation that C++'s TextFormat accepts.
LIBERTIES = r"""
# a comment, then a name in two pieces
name: "two " 'pieces'  # and one behind a value
input: "a" input: 'it\'s' ; input: ["b", "c\x41\101\n\\"],
input_dim: [1, 0x10, 010, -3]
force_backward: t
debug_info: 0
state: < phase: TEST; level: -2 stage: "x" >
layer {
  name: "größe"
  loss_weight: 1 loss_weight: 1. loss_weight: .5e1 loss_weight: 1.5f loss_weight: -inf
  loss_weight: [ 1e-8, 3, 16777217, 1E+2 ]
  include { phase: 1 }
  include [{ phase: TRAIN }, { min_level: 2 }]
  pooling_param { pool: AVE, kernel_size: 4294967295 }
}
"""


def ask_caffe(
    python: str, tmp_path: Path, requests: list[tuple[str, str, str]]
) -> list[dict[str, str]]:
    (tmp_path / "in.json").write_text(json.dumps(requests))
    run_python(python, SCRIPT, "texts", tmp_path / "in.json", tmp_path / "out.json")
    return json.loads((tmp_path / "out.json").read_text())


def test_every_notation_that_the_format_permits_reads_as_in_real_caffe(
    caffe_python: str, tmp_path: Path
) -> None:
    ours = text.parse(LIBERTIES, schema.NetParameter, "liberties")
    [answer] = ask_caffe(caffe_python, tmp_path, [("NetParameter", LIBERTIES, text.format(ours))])
    assert answer["equal"]
    assert ours.SerializeToString().hex() == answer["wire"]


def test_random_messages_pass_between_real_caffes_text_and_ours(
    caffe_python: str, tmp_path: Path
) -> None:
    rng = random.Random(20150301)
    kinds = ["NetParameter", "SolverParameter", "LayerParameter", "Datum", "BlobProto"] * 20
    made = [messages.fill(schema.MESSAGES[kind](), rng, without=NEWER_FIELDS) for kind in kinds]
    printed = [text.format(message) for message in made]
    answers = ask_caffe(caffe_python, tmp_path, list(zip(kinds, printed, printed)))
    for kind, message, answer in zip(kinds, made, answers):
        wire = message.SerializeToString(deterministic=True).hex()
        assert wire == answer["wire"], kind
        back = text.parse(answer["text"], schema.MESSAGES[kind], "caffe's own text")
        assert back.SerializeToString(deterministic=True).hex() == wire, kind


@pytest.mark.parametrize("kind", ["NetParameter", "SolverParameter", "V1LayerParameter"])
@pytest.mark.parametrize("seed", range(5))
def test_printed_messages_read_back_the_same(kind: str, seed: int) -> None:
    message = messages.fill(schema.MESSAGES[kind](), random.Random(seed), share=0.5)
    printed = text.format(message)
    assert text.parse(printed, schema.MESSAGES[kind], "printed") == message
    assert text.format(text.parse(printed, schema.MESSAGES[kind], "printed")) == printed


@given(st.floats(width=32, allow_nan=False))
def test_floats_are_the_shortest_text_that_reads_back_to_the_same_float32(value: float) -> None:
    printed = text.format_float(value)
    assert np.float32(float(printed)).tobytes() == np.float32(value).tobytes()
    if np.isfinite(value):  # numpy finds the shortest digits by another algorithm
        mantissa = np.format_float_scientific(np.float32(value), unique=True).split("e")[0]
        shortest = mantissa.replace(".", "").replace("-", "").rstrip("0")
        digits = printed.lower().split("e")[0].replace(".", "").replace("-", "").strip("0")
        assert len(digits) <= len(shortest)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (0.01, "0.01"),
        (0.0005, "0.0005"),
        (np.float32(0.0005).item(), "0.0005"),
        (1.0, "1"),
        (120.0, "120"),
        (1e-8, "1e-08"),
        (0.1 + 0.2, "0.3"),
        (float("-inf"), "-inf"),
    ],
)
def test_floats_print_as_a_person_writes_them(value: float, printed: str) -> None:
    assert text.format(schema.SolverParameter(base_lr=value)) == f"base_lr: {printed}\n"


def test_layout_keeps_fillers_and_rules_on_one_line_and_parameters_open() -> None:
    layer = schema.LayerParameter(name="conv1", type="Convolution")
    layer.convolution_param.num_output = 50
    layer.convolution_param.weight_filler.type = "gaussian"
    layer.convolution_param.weight_filler.std = 0.01
    layer.include.add(phase=schema.TRAIN)
    net = schema.NetParameter(name="n", layer=[layer])
    net.layer.add().relu_param.SetInParent()
    net.layer.add().dropout_param.dropout_ratio = 0.5
    assert text.format(net) == (
        'name: "n"\n'
        "layer {\n"
        '  name: "conv1"\n'
        '  type: "Convolution"\n'
        "  include { phase: TRAIN }\n"
        "  convolution_param {\n"
        "    num_output: 50\n"
        '    weight_filler { type: "gaussian" std: 0.01 }\n'
        "  }\n"
        "}\n"
        "layer {\n"
        "  relu_param { }\n"
        "}\n"
        "layer {\n"
        "  dropout_param {\n"
        "    dropout_ratio: 0.5\n"
        "  }\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('name: "x"\nlayer { kernal_size: 3 }', "net:2: unknown field 'kernal_size' in LayerP"),
        (
            "layer { convolution_param {\n kernal_size: 3 } }",
            "net:2: unknown field 'kernal_size' in ConvolutionParameter; did you mean "
            "'kernel_size'?",
        ),
        ("layer {\n\n", "net:1: LayerParameter is opened here and never closed by '}'"),
        ("name: 3", "net:1: 'name' of NetParameter is a string in quotes, not '3'"),
        ('\nname "x"', "net:2: expected ':' after 'name' in NetParameter, found \"x\""),
        ('name: "a" name: "b"', "net:1: 'name' is given twice in one NetParameter"),
        ('name: "open', "net:1: this string has no end"),
        ('name: "\\q"', "net:1: 'name' of NetParameter has an unknown escape"),
        ("force_backward: yes", "'force_backward' of NetParameter is a bool, not 'yes'"),
        ("input_dim: 3.5", "'input_dim' of NetParameter is an int32, not '3.5'"),
        ("input_dim: 2147483648", "lies in -2147483648 … 2147483647 (int32), not '2147483648'"),
        ("layer { pooling_param { kernel_size: -1 } }", "lies in 0 … 4294967295 (uint32)"),
        ("layer { pooling_param { pool: MIN } }", "'pool' of PoolingParameter is one of MAX, AVE"),
        ("layer { loss_weight: [1, 2 }", "net:1: expected ',' or ']' in 'loss_weight', found '}'"),
        ("layer: 3", "net:1: expected '{' after 'layer' (LayerParameter), found '3'"),
        ("layer { clip_param { min: 1 } }", "ClipParameter needs the field 'max'"),
        ("}", "net:1: expected a field of NetParameter, found '}'"),
        ("name: $", "net:1: stray '$'"),
        ("input_dim: 3abc", "net:1: no number: 3a…"),
    ],
)
def test_errors_name_file_line_field_and_message(source: str, message: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        text.parse(source, schema.NetParameter, "net")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "shift-jis"])
def test_comments_may_be_in_any_encoding_but_strings_are_utf8(
    encoding: str, tmp_path: Path
) -> None:
    """Real Caffe takes any bytes, but pycaffe fails on the name of such a layer or blob."""
    words = {"gbk": "网络", "latin-1": "Größe", "shift-jis": "層"}[encoding]
    path = tmp_path / "net.prototxt"
    path.write_bytes(f'# {words}\nname: "net" # {words}'.encode(encoding))
    assert text.read(path, schema.NetParameter).name == "net"
    path.write_bytes(f'\n\nname: "{words}"\n'.encode(encoding))
    with pytest.raises(PrototxtError) as caught:
        text.read(path, schema.NetParameter)
    assert str(caught.value) == (
        f"{path}:3: 'name' of NetParameter is not UTF-8 text; convert the file: "
        f"iconv -f ENCODING -t UTF-8 {path} > NEW (for example LATIN1 or GBK)"
    )


FRAGMENTS = st.sampled_from(
    ["layer", "{", "}", "<", ">", "[", "]", ":", ",", ";", "-", '"a"', "'", '"', "\\", "#", "\n"]
    + ["name", "type", "include", "phase", "TRAIN", "loss_weight", "input_dim", "state", "inf"]
    + ["0x", "09", "1e", "1e999", "-1", "3.4028236e38", "nan", "blobs", "shape", "dim", " ", "\0"]
    + ["clip_param", "min", '"\\9"', '"\\9"', '"\\U00110000"', '"\\400"', "é", "\udcff"]
)


@given(st.lists(FRAGMENTS, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_gives_a_message_or_a_prototxt_error(source: str) -> None:
    try:
        message = text.parse(source, schema.NetParameter, "any")
    except PrototxtError as error:
        assert str(error).startswith("any:")
        str(error).encode("utf-8")
    else:
        text.format(message)


@given(st.binary(max_size=80))
def test_any_file_gives_a_message_or_a_tinynet_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.prototxt"
    path.write_bytes(content)
    try:
        text.read(path, schema.SolverParameter)
    except TinynetError as error:
        assert "any.prototxt" in str(error)


def test_deep_nesting_is_an_error_at_the_first_level_that_no_message_has() -> None:
    with pytest.raises(PrototxtError, match="unknown field 'layer' in LayerParameter"):
        text.parse("layer { " * 100_000, schema.NetParameter, "deep")


def test_a_long_number_is_out_of_range_and_not_slow_to_refuse() -> None:
    with pytest.raises(PrototxtError, match="input_dim"):
        text.parse("input_dim: " + "9" * 100_000, schema.NetParameter, "long")


def test_a_full_disk_leaves_the_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "solver.prototxt"
    text.write(path, schema.SolverParameter(base_lr=0.5))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=str(path)):
        text.write(path, schema.SolverParameter(base_lr=0.25))
    assert path.read_text() == "base_lr: 0.5\n" and os.listdir(tmp_path) == [path.name]
