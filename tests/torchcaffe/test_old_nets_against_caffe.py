"""Nets of Caffe's older formats are upgraded as by real Caffe, and compute the same."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import old_nets
from tests.torchcaffe.conftest import Ask, RealCaffe, assert_same
from tests.torchcaffe.layer_cases import LAYERS, whole
from tests.torchcaffe.small_nets import layer, normal
from tests.torchcaffe.user_scripts import in_real_caffe, in_torchcaffe
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store

pytestmark = pytest.mark.usefixtures("logged")

# An incomplete net aborts real Caffe, but only after its log has printed the upgraded net.
LOGS = """
import glob
import os
import caffe
for path in sorted(glob.glob("*.prototxt")):
    child = os.fork()
    if child == 0:
        log = os.open(path + ".log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 2)
        caffe.Net(path, caffe.TEST)
        os._exit(0)
    os.waitpid(child, 0)
"""
_LINE = re.compile(r"^([IWEF])(?:\d{4})?\d{4} [\d:.]+ +\d+ ([\w.]+):\d+\] ?(.*)$")


_CUT = 25_000  # glog cuts a message off after 30,000 bytes, indented as it is


def logs_of_caffe(python: str, folder: Path) -> dict[str, str]:
    """Return, by the name of each prototxt in a folder, what real Caffe logs when it builds it."""
    in_real_caffe(python, LOGS, folder)
    return {path.name: (folder / f"{path.name}.log").read_text() for path in paths_in(folder)}


def paths_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.prototxt"))


def log_of_ours(path: Path) -> str:
    log, before = io.StringIO(), Path.cwd()
    os.chdir(path.parent)
    try:
        with contextlib.redirect_stderr(log), contextlib.suppress(torchcaffe.CaffeError):
            torchcaffe.Net(path.name, torchcaffe.TEST)
    finally:
        os.chdir(before)
    return log.getvalue()


def net_in(log: str) -> Any:
    """Return the net that a log prints, or its first layers where glog truncates it."""
    lines = iter(log.splitlines())
    found: list[str] = []
    for line in lines:
        if "Initializing net from parameters" in line:
            for inner in lines:
                if _LINE.match(inner):
                    break
                found.append(inner)
    assert found, log[-2000:]
    if sum(map(len, found)) > _CUT:
        del found[len(found) - found[::-1].index("}") :]
    return text.parse("\n".join(found), schema.NetParameter, "log")


def said_in(log: str) -> list[str]:
    """Return what the upgrade logs, in Caffe's file or in ours, without its warnings."""
    upgrades = ("upgrade_proto.cpp", "upgrade.py", "upgrade_v0.py")
    lines = [match for match in map(_LINE.match, log.splitlines()) if match]
    return [f"{m[1]} {m[3]}" for m in lines if m[2] in upgrades and m[1] != "W"]


def assert_upgraded_alike(python: str, folder: Path) -> None:
    real = logs_of_caffe(python, folder)
    assert real
    for path in paths_in(folder):
        ours = log_of_ours(path)
        expected, found = net_in(real[path.name]), net_in(ours)
        assert len(expected.layer) > 20 or len(expected.layer) == len(found.layer)
        del found.layer[len(expected.layer) :]
        assert found == expected, path
        # if a layer has several parameters, Caffe names the first one in the order of its code
        assert sorted(said_in(ours)) == sorted(said_in(real[path.name])), path


def test_random_nets_in_v1_of_every_layer_type_become_what_real_caffe_makes_of_them(
    caffe_python: str, tmp_path: Path
) -> None:
    for seed in range(5):
        net = old_nets.random_v1(seed)
        assert {layer.type for layer in net.layers} == set(old_nets.V1_TYPES.values())
        text.write(tmp_path / f"{seed}.prototxt", net)
    assert_upgraded_alike(caffe_python, tmp_path)


def test_random_nets_in_v0_of_every_layer_type_become_what_real_caffe_makes_of_them(
    caffe_python: str, tmp_path: Path
) -> None:
    for seed in range(10):
        text.write(tmp_path / f"{seed}.prototxt", old_nets.random_v0(seed))
    assert_upgraded_alike(caffe_python, tmp_path)


SMALL = {
    "v0": old_nets.V0,
    "v0 state": old_nets.V0 + 'state { stage: "lost" } debug_info: true',
    "v0 beside layer": old_nets.V0 + 'layer { name: "lost" type: "ReLU" }',
    "v0 with v1 fields": 'input: "x" layers { layer { name: "a" type: "relu" } name: "b" '
    'bottom: "x" top: "y" loss_weight: 3 include { phase: TRAIN } param: "w" }',
    "v0 reshape": 'input: "x" layers { layer { name: "a" type: "flatten" new_num: 3 } '
    'bottom: "x" top: "y" }',
    "v1 without input shapes": 'input: "x" layers { name: "a" type: RELU bottom: "x" top: "y" }',
    "inputs with shapes": 'input: "x" input: "y" input_shape { dim: 2 dim: 3 } '
    "input_shape { dim: 4 } input_dim: 9",
    "inputs with dims to spare": 'input: "x" input_dim: [2, 3, 1, 1, 7]',
    "shapes without inputs": 'input_shape { dim: 2 } layer { name: "a" type: "DummyData" }',
    "batch norm": 'layer { name: "b" type: "BatchNorm" param { lr_mult: 1 name: "m" } param { } '
    "param { decay_mult: 3 } } "
    'layer { name: "c" type: "BatchNorm" param { lr_mult: 0 } param { lr_mult: 0 } } '
    'layer { name: "d" type: "Scale" param { } param { } param { } }',
    "data of v1": """
        layers { name: "a" type: DATA top: "a" data_param { source: "s" scale: 0.5 mirror: true } }
        layers { name: "b" type: DATA top: "b" }
        layers { name: "c" type: IMAGE_DATA top: "c" image_data_param { crop_size: 3 }
          transform_param { scale: 2 crop_size: 4 mean_value: 1 } }
        layers { name: "d" type: WINDOW_DATA top: "d" window_data_param { mean_file: "m" } }
        layers { name: "e" type: MEMORY_DATA top: "e" }""",
    "data of v1 without a transformation": 'layers { name: "a" type: DATA top: "a" '
    'data_param { source: "s" rand_skip: 3 } } layers { name: "b" type: DATA top: "b" }',
    "data of today": 'layer { name: "a" type: "Data" top: "a" '
    'data_param { source: "s" scale: 0.5 crop_size: 3 rand_skip: 3 } }',
}


def test_small_nets_of_every_older_kind_become_what_real_caffe_makes_of_them(
    caffe_python: str, tmp_path: Path
) -> None:
    for name, source in SMALL.items():
        (tmp_path / f"{name.replace(' ', '_')}.prototxt").write_text(source)
    assert_upgraded_alike(caffe_python, tmp_path)


@pytest.mark.long
def test_every_net_of_caffes_source_becomes_what_real_caffe_makes_of_it(
    caffe_python: str, caffe_source: Path, tmp_path: Path
) -> None:
    for folder in ("examples", "models"):
        for path in (caffe_source / folder).rglob("*.prototxt"):
            if "solver" not in path.name:
                shutil.copy(path, tmp_path / str(path.relative_to(caffe_source)).replace("/", "_"))
    assert len(paths_in(tmp_path)) > 20
    assert_upgraded_alike(caffe_python, tmp_path)


def test_a_solver_with_an_old_type_is_read_with_real_caffes_log_lines(
    caffe_python: str, tmp_path: Path
) -> None:
    script = """
import caffe
caffe.set_mode_cpu()
caffe.get_solver("solver.prototxt")
"""
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").mkdir()
    for folder in ("real", "ours"):
        (tmp_path / folder / "net.prototxt").write_text(SMALL["inputs with shapes"])
        (tmp_path / folder / "solver.prototxt").write_text(
            'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" solver_type: RMSPROP '
            'snapshot_prefix: "s" rms_decay: 0.9'
        )
    real = in_real_caffe(caffe_python, script, tmp_path / "real").log
    ours = in_torchcaffe(script, tmp_path / "ours").log
    assert "'solver_type' field (enum)" in real
    assert said_in(ours) == said_in(real)


REFUSED = {
    "padding before relu": (
        'input: "x" layers { layer { name: "p" type: "padding" pad: 1 } bottom: "x" top: "y" } '
        'layers { layer { name: "r" type: "relu" } bottom: "y" top: "z" }',
        "layer r: only a conv or pool layer can follow a padding layer",
    ),
    "padding of two": (
        'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" bottom: "x" top: "y" '
        '} layers { layer { name: "c" type: "conv" } bottom: "y" top: "z" }',
        "layer c: .* 2 bottoms and 1 tops",
    ),
    "conv of two, padded": (
        'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" top: "y" } '
        'layers { layer { name: "c" type: "conv" } bottom: "y" bottom: "x" top: "z" }',
        "layer c: it has 2 bottoms",
    ),
    "unknown v0 type": (
        'layers { layer { name: "c" type: "convolution" } top: "z" }',
        "layer c: unknown V0 layer type 'convolution'; the types are accuracy",
    ),
    "unknown v0 bottom": (
        'layers { layer { name: "c" type: "conv" } bottom: "x" top: "z" }',
        "layer c: unknown bottom blob 'x'",
    ),
    "layers of both formats": (
        'name: "n" layers { name: "a" type: RELU } layer { name: "b" type: "ReLU" }',
        "net 'n' has layers of both formats",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_real_caffe_aborts_on_an_old_net_a_caffe_error_says_why(
    case: str, both_refuse: Any
) -> None:
    source, message = REFUSED[case]
    found = both_refuse({"net": source})
    assert re.search(message, found), found


V1_CASES = {
    case.type: (name, case)
    for name, case in reversed(LAYERS.items())
    if old_nets.as_v1(text.parse(case.text, schema.NetParameter, name)) is not None
}


@pytest.mark.parametrize("kind", V1_CASES)
def test_a_layer_written_in_v1_computes_what_real_caffe_computes(kind: str, ask_both: Ask) -> None:
    name, case = V1_CASES[kind]
    net = text.parse(case.text, schema.NetParameter, name)
    real, ours = ask_both({**case.request, "net": text.format(old_nets.as_v1(net))}, case.arrays)
    assert_same(real, ours)


def test_a_net_written_in_v0_computes_what_real_caffe_computes(ask_both: Ask) -> None:
    inputs = {"data": normal(1, (2, 3, 9, 8)), "label": whole(2, (2, 1, 1, 1), 5)}
    real, ours = ask_both({"net": old_nets.V0, "seed": 3, "passes": 2}, inputs)
    assert_same(real, ours, 2e-5)
    assert np.abs(real["0/param_diff/conv1/0"]).max() > 1e-4


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ("scale: 0.5", "write it in transform_param"),
        ("mirror: true", "write it in transform_param"),
        ("crop_size: 3", "write it in transform_param"),
        ('mean_file: "mean.binaryproto"', "write it in transform_param"),
        ("rand_skip: 7", "leave it out"),
        ("force_encoded_color: true", "write force_color in transform_param"),
    ],
)
def test_fields_that_caffe_reads_but_does_not_use_are_named_and_have_no_effect(
    field: str, advice: str, real_caffe: RealCaffe, tmp_path: Path
) -> None:
    pixels = np.arange(75, dtype=np.uint8).reshape(3, 5, 5)
    write_store(tmp_path / "lmdb", [(b"0", encode_datum(pixels, 1))])
    given = f'source: "{tmp_path}/lmdb" backend: LMDB batch_size: 1'
    source = layer("Data", "", "x", f"data_param {{ {given} {field} }}")
    real = real_caffe.answer({"net": source, "backward": False}, {}, tmp_path)
    np.testing.assert_array_equal(real["0/data/x"][0], pixels)
    (tmp_path / "net.prototxt").write_text(source)
    log = io.StringIO()
    with contextlib.redirect_stderr(log):
        net = torchcaffe.Net(tmp_path / "net.prototxt", torchcaffe.TEST)
        net.forward()
    np.testing.assert_array_equal(net.blobs["x"].data[0], pixels)
    name = field.split(":")[0]
    line = f"layer l: data_param.{name} has no effect in Caffe 1.0; {advice}"
    assert log.getvalue().count(line) == 1
