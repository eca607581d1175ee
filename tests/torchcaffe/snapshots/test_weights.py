"""Weights come from every kind of file that real Caffe reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe, in_torchcaffe
from tinynet.caffeformat import binary, schema
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
