"""Weights load from every kind of file that real Caffe reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.conftest import Ask
from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe, in_torchcaffe
from tinynet.caffeformat import binary, schema, text
from tinynet.torchcaffe.errors import CaffeError

NET = """
name: "old" input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 3
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 3 } }
"""
SCRIPT = """
import caffe
caffe.set_mode_cpu()
net = caffe.Net("../net.prototxt", caffe.TEST, weights="../old.caffemodel")
for name, blobs in net.params.items():
    print(name, [blob.data.tolist() for blob in blobs])
"""


def old_model(field: str = "data") -> Any:
    """A .caffemodel of 2014: V1 layers, blobs of four axes, a layer that the net has not.

    ``field``: where the values lie; a Caffe of doubles writes ``double_data``.
    """
    model = schema.NetParameter(name="old")
    kinds = schema.V1LayerParameter
    draw = np.random.default_rng(6)
    for name, kind, shapes in (
        ("conv", kinds.CONVOLUTION, ((2, 2, 2, 2), (1, 1, 1, 2))),
        ("gone", kinds.INNER_PRODUCT, ((1, 1, 2, 2),)),
        ("fc", kinds.INNER_PRODUCT, ((1, 1, 3, 8), (1, 1, 1, 3))),
    ):
        layer = model.layers.add(name=name, type=kind)
        for shape in shapes:
            blob = layer.blobs.add(num=shape[0], channels=shape[1], height=shape[2])
            blob.width = shape[3]
            getattr(blob, field).extend(draw.normal(size=int(np.prod(shape))))
    return model


@pytest.mark.parametrize("field", ["data", "double_data"])
def test_weights_of_a_v1_caffemodel_load_as_in_real_caffe(
    field: str, caffe_python: str, tmp_path: Path
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    binary.write(tmp_path / "old.caffemodel", old_model(field))
    real = in_real_caffe(caffe_python, SCRIPT, tmp_path / "real")
    ours = in_torchcaffe(SCRIPT, tmp_path / "ours")
    assert_says_the_same(real.out, ours.out, 1e-6)


def as_v0(model: Any) -> Any:
    """The same weights in the format of 2013, with a padding layer among the others."""
    old = schema.NetParameter(name=model.name, input=["data"])
    padding = old.layers.add(bottom=["data"], top=["conv"])
    padding.layer.type, padding.layer.name = "padding", "pad"
    for layer in model.layers:
        kind = "conv" if layer.name == "conv" else "innerproduct"
        made = old.layers.add(bottom=["conv"], top=["conv"])
        if kind == "innerproduct":
            made.bottom[0] = "data"
        made.layer.name, made.layer.type = layer.name, kind
        made.layer.blobs.extend(layer.blobs)
    return old


def test_weights_of_a_v0_caffemodel_load_as_in_real_caffe(
    caffe_python: str, tmp_path: Path
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    binary.write(tmp_path / "old.caffemodel", as_v0(old_model()))
    real = in_real_caffe(caffe_python, SCRIPT, tmp_path / "real")
    ours = in_torchcaffe(SCRIPT, tmp_path / "ours")
    assert_says_the_same(real.out, ours.out, 1e-6)
    for output in (real.log, ours.log):
        assert "using deprecated V0LayerParameter: ../old.caffemodel" in output
        assert "using deprecated V1LayerParameter: ../old.caffemodel" in output
        assert "Ignoring source layer gone" in output
    stored = old_model().layers[0].blobs[0].data[0]
    assert f"{np.float32(stored):.5g}"[:6] in ours.out


def test_a_file_from_which_no_layer_takes_weights_causes_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    model = old_model()
    binary.write(tmp_path / "fits.caffemodel", model)
    for layer in model.layers:
        layer.name += "_old"
    binary.write(tmp_path / "other.caffemodel", model)
    net.save_hdf5(tmp_path / "fits.h5")
    (tmp_path / "other.prototxt").write_text(NET.replace('name: "', 'name: "my_'))
    caffe.Net(tmp_path / "other.prototxt", caffe.TEST).save_hdf5(tmp_path / "other.h5")
    notes = {
        "fits.caffemodel": None,
        "fits.h5": None,
        "other.caffemodel": "conv_old, gone_old, fc_old",
        "other.h5": "my_conv, my_fc",
    }
    for name, layers in notes.items():
        capsys.readouterr()
        net.copy_from(tmp_path / name)
        output = capsys.readouterr().err
        warning = f"{name}: no layer of net 'old' has taken weights from this file, whose layers"
        assert (warning in output) == (layers is not None), name
        assert layers is None or f"{warning} are: " in output
        assert all(layer in output for layer in (layers or "").split(", ")), name


def test_weights_of_another_shape_are_refused_with_both_shapes(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET.replace("num_output: 3", "num_output: 4"))
    binary.write(tmp_path / "old.caffemodel", old_model())
    with pytest.raises(CaffeError, match=r"'fc'.*\(1, 1, 3, 8\).*\(4, 8\)"):
        caffe.Net(tmp_path / "net.prototxt", caffe.TEST, weights=tmp_path / "old.caffemodel")


def test_snapshot_diff_keeps_the_diffs(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" snapshot_diff: true '
        f'snapshot_prefix: "{tmp_path}/s"'
    )
    solver = caffe.get_solver(tmp_path / "solver.prototxt")
    diff = solver.net.params["fc"][0].diff
    diff[...] = np.arange(diff.size).reshape(diff.shape)
    solver.snapshot()
    stored = binary.read(tmp_path / "s_iter_0.caffemodel", schema.NetParameter)
    blob = {layer.name: layer for layer in stored.layer}["fc"].blobs[0]
    assert list(blob.diff) == list(range(diff.size))


@pytest.mark.parametrize("given", ["", "snapshot_prefix: '.'"])
def test_a_snapshot_without_a_prefix_is_named_after_the_solver_file(
    given: str, caffe_python: str, tmp_path: Path
) -> None:
    script = """
import glob
import caffe
caffe.set_mode_cpu()
solver = caffe.get_solver("solver.prototxt")
solver.snapshot()
print(sorted(glob.glob("*solverstate")))
"""
    for name in ("real", "ours"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "net.prototxt").write_text(NET)
        (folder / "solver.prototxt").write_text(
            f'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" {given}'
        )
    real = in_real_caffe(caffe_python, script, tmp_path / "real").out
    assert "solver_iter_0" in real
    assert in_torchcaffe(script, tmp_path / "ours").out == real


SHAPES = {
    "as the net's": ("shape { dim: 3 dim: 8 }", None),
    "older, of four axes": ("num: 1 channels: 1 height: 3 width: 8", None),
    "older, as 3x8x1x1": ("num: 3 channels: 8 height: 1 width: 1", r"\(3, 8, 1, 1\)"),
    "both, which is the older": ("num: 1 channels: 1 height: 3 width: 8 shape { dim: 24 }", None),
    "newer, with ones before": ("shape { dim: 1 dim: 1 dim: 3 dim: 8 }", r"\(1, 1, 3, 8\)"),
    "turned": ("shape { dim: 8 dim: 3 }", r"\(8, 3\)"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_stored_shape_is_accepted_where_real_caffe_accepts_it(
    case: str, both_refuse: Any, ask_both: Ask, tmp_path: Path
) -> None:
    stated, refused = SHAPES[case]
    model = schema.NetParameter()
    layer = model.layer.add(name="fc", type="InnerProduct")
    layer.blobs.append(text.parse(stated, schema.BlobProto, case))
    layer.blobs[0].data.extend(range(24))
    layer.blobs.add(data=[1, 2, 3]).shape.dim.append(3)
    weights = tmp_path / "stored.caffemodel"
    binary.write(weights, model)
    request = {"net": NET, "weights": str(weights), "backward": False}
    if refused:
        assert re.search(refused, both_refuse(request))
    else:
        real, ours = ask_both(request)
        np.testing.assert_array_equal(ours["0/param/fc/0"], real["0/param/fc/0"])
        assert ours["0/param/fc/0"].ravel().tolist() == list(range(24))


def test_weights_go_to_the_first_layer_of_a_name_as_in_real_caffe(
    caffe_python: str, tmp_path: Path
) -> None:
    fc = 'layer {{ name: "{}" type: "InnerProduct" bottom: "{}" top: "{}" {} }} '
    learned = "inner_product_param { num_output: 3 }"
    (tmp_path / "two.prototxt").write_text(
        'input: "x" input_shape { dim: 2 dim: 3 } '
        + fc.format("fc", "x", "a", learned)
        + fc.format("fc", "a", "b", learned)
    )
    (tmp_path / "one.prototxt").write_text(
        'input: "x" input_shape { dim: 2 dim: 3 } '
        + fc.format("fc", "x", "a", learned)
        + 'layer { name: "other" type: "ReLU" bottom: "a" top: "b" }'
    )
    script = """
import numpy as np
import caffe
caffe.set_mode_cpu()
one = caffe.Net("../one.prototxt", caffe.TEST)
one.params["fc"][0].data[...] = np.arange(9).reshape(3, 3)
one.save("one.caffemodel")
two = caffe.Net("../two.prototxt", caffe.TEST, weights="one.caffemodel")
show = lambda: print([blob.data.tolist() for layer in two.layers for blob in layer.blobs])
show()
one.params["fc"][0].data[...] += 1
two.share_with(one)
show()
"""
    real = in_real_caffe(caffe_python, script, tmp_path / "real")
    ours = in_torchcaffe(script, tmp_path / "ours")
    assert_says_the_same(real.out, ours.out, 1e-6)
    assert "[3.0, 4.0, 5.0]" in ours.out
    for output in (real.log, ours.log):
        assert output.count("Ignoring source layer other") == 2
