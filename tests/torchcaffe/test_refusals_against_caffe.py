"""Where real Caffe aborts the process, there is a CaffeError that names the layer and the rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.layer_cases import whole
from tests.torchcaffe.small_nets import GAUSSIAN, Shape, layer, net, normal
from tinynet.data.store import encode_datum, write_store

_FC = f"inner_product_param {{ num_output: 4 {GAUSSIAN} }}"


def refused(
    layer_type: str, parameters: str, *shapes: Shape, tops: str = "y", message: str
) -> tuple[str, str]:
    """(a net of one layer on inputs a, b, … of ``shapes``; a part of the message)."""
    names = [chr(ord("a") + i) for i in range(len(shapes))]
    text = layer(layer_type, " ".join(names), tops, parameters)
    return net(text, *zip(names, shapes)), message


_X = (2, 3, 4, 5)
_FOUR = "num: 1 channels: 2 height: 3"
LAYERS = {
    "lrn even": refused("LRN", "lrn_param { local_size: 4 }", _X, message="must be odd; got 4"),
    "lrn axes": refused("LRN", "", (2, 3), message=r"4 axes.*got shape \(2, 3\)"),
    "batch norm learned": refused(
        "BatchNorm", "param { lr_mult: 1 }", _X, message="lr_mult must be 0"
    ),
    "batch norm axes": refused("BatchNorm", "", (3,), message="at least 2 axes"),
    "scale axis": refused("Scale", "scale_param { axis: 4 }", _X, message="axis 4 is outside"),
    "scale num_axes": refused(
        "Scale", "scale_param { axis: 3 num_axes: 2 }", _X, message="extend past"
    ),
    "scale num_axes negative": refused(
        "Scale", "scale_param { num_axes: -2 }", _X, message="got -2"
    ),
    "scale shapes": refused("Scale", "", _X, (4,), message=r"shape \(4,\) does not match"),
    "scale beyond": refused("Scale", "scale_param { axis: 3 }", _X, (5, 1), message="not match"),
    "scale three bottoms": refused("Scale", "", _X, (3,), (3,), message="1 to 2 bottom"),
    "bias shapes": refused("Bias", "", _X, (4,), message=r"shape \(4,\) does not match"),
    "bias num_axes": refused("Bias", "bias_param { num_axes: 4 }", _X, message="extend past"),
    "prelu axes": refused("PReLU", "", (3,), message="at least 2 axes"),
    "prelu too many axes": refused("PReLU", "", (2, 2, 2, 2, 2), message="at most 4 axes"),
    "exp base": refused("Exp", "exp_param { base: 0 }", _X, message="positive, or -1 for e; got 0"),
    "exp infinite": refused("Exp", "exp_param { base: inf }", _X, message="got inf"),
    "log base": refused("Log", "log_param { base: -2 }", _X, message="got -2"),
    "log base 1": refused("Log", "log_param { base: 1 }", _X, message="not 1"),
    "eltwise one bottom": refused("Eltwise", "", _X, message="at least 2 bottom"),
    "eltwise shapes": refused("Eltwise", "", _X, (2, 3), message="same shape; got"),
    "eltwise coeff": refused(
        "Eltwise", "eltwise_param { coeff: 1 }", _X, _X, message="got 1 for 2 bottoms"
    ),
    "eltwise product coeff": refused(
        "Eltwise",
        "eltwise_param { operation: PROD coeff: 1 coeff: 2 }",
        _X,
        _X,
        message="a product takes no coeff",
    ),
    "concat axis and dim": refused(
        "Concat", "concat_param { axis: 1 concat_dim: 1 }", _X, _X, message="not both"
    ),
    "concat shapes": refused("Concat", "", _X, (2, 3, 4, 4), message="except for axis 1"),
    "concat axes": refused("Concat", "", _X, (2, 3, 4), message="except for axis 1"),
    "concat axis": refused("Concat", "concat_param { axis: 4 }", _X, _X, message="axis 4"),
    "concat dim": refused("Concat", "concat_param { concat_dim: 9 }", _X, _X, message="axis 9"),
    "slice axis and dim": refused(
        "Slice", "slice_param { axis: 1 slice_dim: 1 }", _X, message="not both"
    ),
    "slice uneven": refused("Slice", "", _X, tops="y z", message="got 2 tops for 3"),
    "slice points": refused(
        "Slice", "slice_param { slice_point: 1 }", _X, tops="y z u", message="got 1 points, 3 tops"
    ),
    "slice decreasing": refused(
        "Slice",
        "slice_param { axis: 3 slice_point: 2 slice_point: 2 }",
        _X,
        tops="y z u",
        message="must increase.*got 2, 2",
    ),
    "slice beyond": refused(
        "Slice", "slice_param { slice_point: 4 }", _X, tops="y z", message="axis of 3; got 4"
    ),
    "slice leaves nothing": refused(
        "Slice", "slice_param { slice_point: 3 }", _X, tops="y z", message="axis of 3; got 3"
    ),
    "slice too many tops": refused(
        "Slice",
        "slice_param { axis: 0 slice_point: 1 slice_point: 2 }",
        _X,
        tops="y z u",
        message="axis of 2",
    ),
    "flatten axis": refused("Flatten", "flatten_param { axis: 4 }", _X, message="axis 4"),
    "flatten order": refused(
        "Flatten", "flatten_param { axis: 3 end_axis: 1 }", _X, message="must not lie beyond"
    ),
    "reshape two inferred": refused(
        "Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", _X, message="may have one -1"
    ),
    "reshape count": refused(
        "Reshape", "reshape_param { shape { dim: 7 } }", _X, message="bottom's count"
    ),
    "reshape indivisible": refused(
        "Reshape", "reshape_param { shape { dim: 7 dim: -1 } }", _X, message="7, must divide"
    ),
    "reshape no axis to copy": refused(
        "Reshape",
        "reshape_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 dim: 0 } }",
        _X,
        message="has no axis",
    ),
    "reshape axis": refused(
        "Reshape", "reshape_param { axis: 5 shape { dim: 1 } }", _X, message="axis 5"
    ),
    "reshape num_axes": refused(
        "Reshape", "reshape_param { axis: 3 num_axes: 2 shape { dim: 5 } }", _X, message="beyond"
    ),
    "reshape num_axes negative": refused(
        "Reshape", "reshape_param { num_axes: -2 shape { dim: 5 } }", _X, message="got -2"
    ),
    "reshape negative": refused(
        "Reshape", "reshape_param { shape { dim: -2 dim: -60 } }", _X, message="bottom's count"
    ),
    "reduction axis": refused("Reduction", "reduction_param { axis: 4 }", _X, message="axis 4"),
    "argmax top_k 0": refused("ArgMax", "argmax_param { top_k: 0 }", _X, message="got 0"),
    "argmax top_k": refused("ArgMax", "argmax_param { top_k: 61 }", _X, message="60; got 61"),
    "argmax top_k of an axis": refused(
        "ArgMax", "argmax_param { axis: 1 top_k: 4 }", _X, message="3; got 4"
    ),
    "argmax axis": refused("ArgMax", "argmax_param { axis: 4 }", _X, message="axis 4"),
    "argmax backward": refused("ArgMax", "", _X, message="no backward computation"),
    "silence with a top": refused("Silence", "", _X, message="exactly 0 top"),
    "euclidean batch": refused("EuclideanLoss", "", (2, 3), (3, 2), message="first dimension"),
    "euclidean dimension": refused("EuclideanLoss", "", (2, 3), (2, 4), message="same dimension"),
    "euclidean one bottom": refused("EuclideanLoss", "", (2, 3), message="exactly 2 bottom"),
    "hinge batch": refused("HingeLoss", "", (2, 3), (3,), message="first dimension"),
    "hinge label gradient": refused(
        "HingeLoss",
        "propagate_down: true propagate_down: true",
        (2, 3),
        (2,),
        message="cannot backpropagate to label inputs",
    ),
    "logistic count": refused(
        "SigmoidCrossEntropyLoss", "", (2, 3), (2, 4), message="same count; got shapes"
    ),
    "logistic label gradient": refused(
        "SigmoidCrossEntropyLoss",
        "propagate_down: true propagate_down: true",
        (2, 3),
        (2, 3),
        message="cannot backpropagate to label inputs",
    ),
    "softmax loss batch": refused(
        "SoftmaxWithLoss", "", (2, 3, 4), (8,), message="first dimension"
    ),
    "softmax loss count": refused(
        "SoftmaxWithLoss", "", (2, 3), (2, 3), message="number of labels"
    ),
    "loss of two tops": refused(
        "EuclideanLoss", "", (2, 3), (2, 3), tops="y z", message="exactly 1 top"
    ),
    "loss_weight": refused(
        "Power", "loss_weight: 1 loss_weight: 2", _X, message="once per top; got 2 for 1"
    ),
    "softmax loss of two tops, weighted by default": refused(
        "SoftmaxWithLoss", "", (2, 3), (2,), tops="y z", message="once per top; got 1 for 2"
    ),
    "dummy shape": refused("DummyData", "", tops="y", message="shape must be given once.*got 0"),
    "dummy shapes": refused(
        "DummyData",
        "dummy_data_param { shape { dim: 1 } shape { dim: 1 } }",
        tops="u y z",
        message="got 2 for 3 tops",
    ),
    "dummy fillers": refused(
        "DummyData",
        "dummy_data_param { shape { dim: 1 } data_filler { } data_filler { } }",
        message="data_filler must be given once.*got 2 for 1",
    ),
    "dummy filler": refused(
        "DummyData",
        'dummy_data_param { shape { dim: 1 } data_filler { type: "gauss" } }',
        message="unknown filler type 'gauss'",
    ),
    "dummy both": refused(
        "DummyData",
        f"dummy_data_param {{ shape {{ dim: 1 }} {_FOUR} width: 1 }}",
        message="not both",
    ),
    "dummy missing": refused(
        "DummyData", f"dummy_data_param {{ {_FOUR} }}", message="width must be given once.*got 0"
    ),
    "memory size": refused(
        "MemoryData",
        "memory_data_param { batch_size: 2 channels: 3 height: 2 }",
        tops="y label",
        message="batch_size, channels, height and width",
    ),
    "memory without labels": refused(
        "MemoryData",
        "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }",
        message="exactly 2 top",
    ),
    "memory without arrays": refused(
        "MemoryData",
        "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }",
        tops="y label",
        message="set_input_arrays",
    ),
    "parameter with a bottom": refused(
        "Parameter", "parameter_param { shape { dim: 1 } }", _X, message="exactly 0 bottom"
    ),
    "blobs of another shape": refused(
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 1 bias_term: false } "
        "blobs { shape { dim: 2 dim: 2 dim: 1 dim: 1 } data: [1, 2, 3, 4] }",
        _X,
        message="shape mismatch",
    ),
    "too few blobs": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 } "
        "blobs { shape { dim: 1 dim: 3 dim: 1 dim: 1 } data: [1, 2, 3] }",
        _X,
        message="once per parameter; got 1 for 2",
    ),
    "absval in place": (
        net(layer("AbsVal", "x", "x"), ("x", _X)),
        "AbsVal layer l: cannot work in place",
    ),
    "flatten in place": (net(layer("Flatten", "x", "x"), ("x", _X)), "cannot work in place"),
    "reshape in place": (
        net(layer("Reshape", "x", "x", "reshape_param { shape { dim: -1 } }"), ("x", _X)),
        "cannot work in place",
    ),
    "slice in place": (net(layer("Slice", "x", "x y z"), ("x", _X)), "cannot work in place"),
}


def _conv(parameters: str, message: str, shape: Shape = _X) -> tuple[str, str]:
    return refused("Convolution", f"convolution_param {{ {parameters} }}", shape, message=message)


def _pool(parameters: str, message: str, shape: Shape = _X, tops: str = "y") -> tuple[str, str]:
    settings = f"pooling_param {{ {parameters} }}"
    return refused("Pooling", settings, shape, tops=tops, message=message)


STAGE_LAYERS = {
    "conv no num_output": _conv("kernel_size: 1", "num_output must be given"),
    "conv no kernel": _conv("num_output: 1", "kernel_size must be given once"),
    "conv kernel 0": _conv("num_output: 1 kernel_size: 0", "kernel_size must be nonzero"),
    "conv three kernels": _conv("num_output: 1 kernel_size: [1, 1, 1]", "got 3"),
    "conv kernel twice": _conv("num_output: 1 kernel_size: 1 kernel_h: 1 kernel_w: 1", "not both"),
    "conv half a kernel": _conv("num_output: 1 kernel_h: 1", "kernel"),
    "conv pad twice": _conv("num_output: 1 kernel_size: 1 pad: 1 pad_h: 1", "not both"),
    "conv stride 0": _conv("num_output: 1 kernel_size: 1 stride: 0", "stride must be nonzero"),
    "conv group of channels": _conv("num_output: 2 kernel_size: 1 group: 2", "group must divide"),
    "conv group of outputs": _conv("num_output: 2 kernel_size: 1 group: 3", "group must divide"),
    "conv too big": _conv("num_output: 1 kernel_size: 9", "does not fit"),
    "conv filler": _conv(
        'num_output: 1 kernel_size: 1 weight_filler { type: "he" }', "unknown filler type 'he'"
    ),
    "conv uneven bottoms and tops": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 }",
        _X,
        _X,
        message="as many tops as bottoms; got 2 and 1",
    ),
    "conv of two shapes": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 }",
        _X,
        (2, 3, 4, 4),
        tops="y z",
        message="same shape",
    ),
    "pool no kernel": _pool("", "kernel_size"),
    "pool kernel 0": _pool("kernel_size: 0", "nonzero"),
    "pool kernel twice": _pool("kernel_size: 2 kernel_h: 2 kernel_w: 2", "either kernel_size"),
    "pool half a kernel": _pool("kernel_h: 2", "either kernel_size"),
    "pool pad twice": _pool("kernel_size: 3 pad: 1 pad_h: 1 pad_w: 1", "either pad"),
    "pool half a stride": _pool("kernel_size: 2 stride_h: 2", "either stride"),
    "pool pad as wide as the kernel": _pool("kernel_size: 2 pad: 2", "less than the kernel"),
    "pool global with a kernel": _pool("global_pooling: true kernel_size: 2", "global_pooling"),
    "pool global with a pad": _pool("global_pooling: true pad: 1", "global_pooling"),
    "pool global with a stride": _pool("global_pooling: true stride: 2", "global_pooling"),
    "pool axes": _pool("kernel_size: 2", "4 axes", (2, 3, 4)),
    "pool average mask": _pool("pool: AVE kernel_size: 2", "second top", tops="y mask"),
    "inner product no num_output": refused(
        "InnerProduct", "inner_product_param { }", _X, message="num_output must be given"
    ),
    "inner product axis": refused(
        "InnerProduct", "inner_product_param { num_output: 1 axis: 4 }", _X, message="axis 4"
    ),
    "softmax axis": refused("Softmax", "softmax_param { axis: 4 }", _X, message="axis 4"),
    "accuracy labels": refused("Accuracy", "", (2, 3), (3,), message="number of labels"),
    "accuracy top_k": refused(
        "Accuracy", "accuracy_param { top_k: 4 }", (2, 3), (2,), message="got 4 of 3"
    ),
    "accuracy one bottom": refused("Accuracy", "", (2, 3), message="exactly 2 bottom"),
    "accuracy backward": refused(
        "Accuracy",
        "propagate_down: true propagate_down: false",
        (2, 3),
        (2,),
        message="no backward computation",
    ),
    "input shapes": (
        layer("Input", "", "x y z", "input_param { shape { dim: 1 } shape { dim: 1 } }"),
        "got 2 for 3 tops",
    ),
}
LAYERS.update(STAGE_LAYERS)


@pytest.mark.parametrize("case", LAYERS)
def test_where_a_layer_of_real_caffe_aborts_ours_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    text, message = LAYERS[case]
    found = both_refuse({"net": text})
    assert "layer l" in found or "filler" in found or "axes" in found
    assert re.search(message, found), found


_SHARED = 'param { name: "w" MORE }'


def _sharing(first: str, second: str, third: str = "") -> str:
    layers = ""
    for bottom, top, more in (("x", "y", first), ("y", "z", second), ("z", "u", third)):
        rest = f"{_FC} {_SHARED.replace('MORE', more)}"
        layers += layer("InnerProduct", bottom, top, rest, f"to_{top}")
    return net(layers, ("x", (2, 4)))


NETS = {
    "unknown type": (net(layer("Bogus", "x", "y"), ("x", _X)), "unknown layer type 'Bogus'"),
    "unknown bottom": (
        net(layer("Power", "nothing", "y"), ("x", _X)),
        r"layer l: unknown bottom blob 'nothing'",
    ),
    "two writers": (
        net(layer("Power", "x", "y") + layer("Exp", "x", "y", "", "m"), ("x", _X)),
        "top blob 'y' is produced by multiple sources",
    ),
    "in place after a split": (
        net(
            layer("Power", "x", "y")
            + layer("Exp", "y", "z", "", "m")
            + layer("ReLU", "y", "y", "", "n"),
            ("x", _X),
        ),
        "top blob 'y' is produced by multiple sources",
    ),
    "include and exclude": (
        net(layer("Power", "x", "y", "include { phase: TRAIN } exclude { }"), ("x", _X)),
        "either include rules or exclude rules",
    ),
    "propagate_down": (
        net(layer("Power", "x", "y", "propagate_down: true propagate_down: true"), ("x", _X)),
        "once per bottom; got 2 for 1",
    ),
    "too many params": (
        net(layer("Power", "x", "y", "param { lr_mult: 1 }"), ("x", _X)),
        "too many params",
    ),
    "shared shapes": (
        net(
            layer("InnerProduct", "x", "y", f"{_FC} {_SHARED.replace('MORE', '')}")
            + layer("InnerProduct", "y", "z", f"{_FC} {_SHARED.replace('MORE', '')}", "m"),
            ("x", (2, 3)),
        ),
        "cannot share param 'w'",
    ),
    "shared lr_mult": (_sharing("lr_mult: 1", "lr_mult: 2"), "mismatched lr_mult"),
    "shared decay_mult": (_sharing("", "decay_mult: 1", "decay_mult: 2"), "mismatched decay_mult"),
    "batch norm learned, of four": (
        net(layer("BatchNorm", "x", "y", "param { } " * 4), ("x", _X)),
        "lr_mult must be 0",
    ),
}


@pytest.mark.parametrize("case", NETS)
def test_where_a_net_of_real_caffe_aborts_ours_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    text, message = NETS[case]
    found = both_refuse({"net": text})
    assert re.search(message, found), found


_MEMORY = "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }"
_GOOD = normal(1, (4, 3, 2, 1))
ARRAYS: dict[str, tuple[np.ndarray, np.ndarray, str]] = {
    "not a multiple": (_GOOD[:3], whole(1, (3,), 9), "multiple of batch_size, 2; got 3"),
    "another shape": (normal(1, (4, 2, 3, 1)), whole(1, (4,), 9), "data array must have shape"),
    "two axes": (normal(1, (4, 6)), whole(1, (4,), 9), "data array must have shape"),
    "labels": (_GOOD, whole(1, (2,), 9), "same first dimension; got 4 and 2"),
    "label shape": (_GOOD, whole(1, (4, 2, 1, 1), 9), "labels array must have shape"),
    "double": (_GOOD.astype(np.float64), whole(1, (4,), 9), "float32"),
    "whole labels": (_GOOD, np.zeros(4, np.int64), "float32"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_pycaffe_refuses_are_refused(
    case: str, both_refuse: Callable[..., str]
) -> None:
    data, labels, message = ARRAYS[case]
    request: dict[str, Any] = {
        "net": layer("MemoryData", "", "x label", _MEMORY),
        "arrays": ["data", "labels"],
        "backward": False,
    }
    found = both_refuse(request, {"data": data, "labels": labels})
    assert re.search(message, found), found


_IN_PLACE = "cannot work in place"
OURS = {
    # it reads memory that is not the blob's
    "a hinge label out of range": refused(
        "HingeLoss", "", (2, 3), (2,), message="labels must be in 0 … 2; got 3"
    ),
    # it divides 0 by 0, and by 0
    "dropout of everything": refused(
        "Dropout", "dropout_param { dropout_ratio: 1 }", _X, message="got 1"
    ),
    "a stride in one direction": _conv("num_output: 1 kernel_size: 1 stride_h: 2", "stride"),
    # it computes from what it has overwritten
    "eltwise in place": refused("Eltwise", "", _X, _X, tops="a", message=_IN_PLACE),
    "concat in place": refused("Concat", "", _X, _X, tops="a", message=_IN_PLACE),
    "lrn in place": refused("LRN", "", _X, tops="a", message=_IN_PLACE),
    "reduction in place": refused("Reduction", "", _X, tops="a", message=_IN_PLACE),
}


@pytest.mark.parametrize("case", OURS)
def test_what_real_caffe_gets_wrong_without_a_word_is_refused(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    text, message = OURS[case]
    labels = {"b": np.full(2, 3, np.float32)} if "Hinge" in text else {}
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": text}, labels)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("scale: 0.5", "write it in transform_param"),
        ("mirror: true", "write it in transform_param"),
        ("crop_size: 3", "write it in transform_param"),
        ('mean_file: "mean.binaryproto"', "write it in transform_param"),
        ("rand_skip: 7", "leave it out"),
        ("force_encoded_color: true", "force_color in transform_param"),
    ],
)
def test_fields_that_caffe_reads_and_does_nothing_with_are_refused(
    field: str,
    said: str,
    real_caffe: RealCaffe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    pixels = np.arange(75, dtype=np.uint8).reshape(3, 5, 5)
    write_store(tmp_path / "lmdb", [(b"0", encode_datum(pixels, 1))])
    given = f'source: "{tmp_path}/lmdb" backend: LMDB batch_size: 1'
    text = layer("Data", "", "x", f"data_param {{ {given} {field} }}")
    real = real_caffe.answer({"net": text, "backward": False}, {}, tmp_path)
    np.testing.assert_array_equal(real["0/data/x"][0], pixels)
    with pytest.raises(torchcaffe.CaffeError, match=f"Data layer l: data_param.*{said}"):
        both_engines.answer(torchcaffe, {"net": text}, {})
