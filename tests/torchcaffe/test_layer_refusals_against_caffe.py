"""Where a layer of real Caffe aborts the process, a CaffeError names the layer and the rule."""

from __future__ import annotations

import re
from typing import Callable

import pytest

from tests.torchcaffe.refused_nets import X, refused, refused_convolution
from tests.torchcaffe.small_nets import Shape, layer, net

_FOUR = "num: 1 channels: 2 height: 3"
LAYERS = {
    "lrn even": refused("LRN", "lrn_param { local_size: 4 }", X, message="must be odd; got 4"),
    "lrn axes": refused("LRN", "", (2, 3), message=r"4 axes.*got shape \(2, 3\)"),
    "batch norm learned": refused(
        "BatchNorm", "param { lr_mult: 1 }", X, message="lr_mult must be 0"
    ),
    "batch norm axes": refused("BatchNorm", "", (3,), message="at least 2 axes"),
    "scale axis": refused("Scale", "scale_param { axis: 4 }", X, message="axis 4 is outside"),
    "scale num_axes": refused(
        "Scale", "scale_param { axis: 3 num_axes: 2 }", X, message="extend past"
    ),
    "scale num_axes negative": refused(
        "Scale", "scale_param { num_axes: -2 }", X, message="got -2"
    ),
    "scale shapes": refused("Scale", "", X, (4,), message=r"shape \(4,\) does not match"),
    "scale beyond": refused("Scale", "scale_param { axis: 3 }", X, (5, 1), message="not match"),
    "scale three bottoms": refused("Scale", "", X, (3,), (3,), message="1 to 2 bottom"),
    "bias shapes": refused("Bias", "", X, (4,), message=r"shape \(4,\) does not match"),
    "bias num_axes": refused("Bias", "bias_param { num_axes: 4 }", X, message="extend past"),
    "prelu axes": refused("PReLU", "", (3,), message="at least 2 axes"),
    "prelu too many axes": refused("PReLU", "", (2, 2, 2, 2, 2), message="at most 4 axes"),
    "exp base": refused("Exp", "exp_param { base: 0 }", X, message="positive, or -1 for e; got 0"),
    "exp infinite": refused("Exp", "exp_param { base: inf }", X, message="got inf"),
    "log base": refused("Log", "log_param { base: -2 }", X, message="got -2"),
    "log base 1": refused("Log", "log_param { base: 1 }", X, message="not 1"),
    "eltwise one bottom": refused("Eltwise", "", X, message="at least 2 bottom"),
    "eltwise shapes": refused("Eltwise", "", X, (2, 3), message="same shape; got"),
    "eltwise coeff": refused(
        "Eltwise", "eltwise_param { coeff: 1 }", X, X, message="got 1 for 2 bottoms"
    ),
    "eltwise product coeff": refused(
        "Eltwise",
        "eltwise_param { operation: PROD coeff: 1 coeff: 2 }",
        X,
        X,
        message="a product takes no coeff",
    ),
    "concat axis and dim": refused(
        "Concat", "concat_param { axis: 1 concat_dim: 1 }", X, X, message="not both"
    ),
    "concat shapes": refused("Concat", "", X, (2, 3, 4, 4), message="except for axis 1"),
    "concat axes": refused("Concat", "", X, (2, 3, 4), message="except for axis 1"),
    "concat axis": refused("Concat", "concat_param { axis: 4 }", X, X, message="axis 4"),
    "concat dim": refused("Concat", "concat_param { concat_dim: 9 }", X, X, message="axis 9"),
    "slice axis and dim": refused(
        "Slice", "slice_param { axis: 1 slice_dim: 1 }", X, message="not both"
    ),
    "slice uneven": refused("Slice", "", X, tops="y z", message="got 2 tops for 3"),
    "slice points": refused(
        "Slice", "slice_param { slice_point: 1 }", X, tops="y z u", message="got 1 points, 3 tops"
    ),
    "slice decreasing": refused(
        "Slice",
        "slice_param { axis: 3 slice_point: 2 slice_point: 2 }",
        X,
        tops="y z u",
        message="must increase.*got 2, 2",
    ),
    "slice beyond": refused(
        "Slice", "slice_param { slice_point: 4 }", X, tops="y z", message="axis of 3; got 4"
    ),
    "slice leaves nothing": refused(
        "Slice", "slice_param { slice_point: 3 }", X, tops="y z", message="axis of 3; got 3"
    ),
    "slice too many tops": refused(
        "Slice",
        "slice_param { axis: 0 slice_point: 1 slice_point: 2 }",
        X,
        tops="y z u",
        message="axis of 2",
    ),
    "flatten axis": refused("Flatten", "flatten_param { axis: 4 }", X, message="axis 4"),
    "flatten order": refused(
        "Flatten", "flatten_param { axis: 3 end_axis: 1 }", X, message="must not lie beyond"
    ),
    "reshape two inferred": refused(
        "Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", X, message="may have one -1"
    ),
    "reshape count": refused(
        "Reshape", "reshape_param { shape { dim: 7 } }", X, message="bottom's count"
    ),
    "reshape indivisible": refused(
        "Reshape", "reshape_param { shape { dim: 7 dim: -1 } }", X, message="7, must divide"
    ),
    "reshape no axis to copy": refused(
        "Reshape",
        "reshape_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 dim: 0 } }",
        X,
        message="has no axis",
    ),
    "reshape axis": refused(
        "Reshape", "reshape_param { axis: 5 shape { dim: 1 } }", X, message="axis 5"
    ),
    "reshape num_axes": refused(
        "Reshape", "reshape_param { axis: 3 num_axes: 2 shape { dim: 5 } }", X, message="beyond"
    ),
    "reshape num_axes negative": refused(
        "Reshape", "reshape_param { num_axes: -2 shape { dim: 5 } }", X, message="got -2"
    ),
    "reshape negative": refused(
        "Reshape", "reshape_param { shape { dim: -2 dim: -60 } }", X, message="bottom's count"
    ),
    "reduction axis": refused("Reduction", "reduction_param { axis: 4 }", X, message="axis 4"),
    "argmax top_k 0": refused("ArgMax", "argmax_param { top_k: 0 }", X, message="got 0"),
    "argmax top_k": refused("ArgMax", "argmax_param { top_k: 61 }", X, message="60; got 61"),
    "argmax top_k of an axis": refused(
        "ArgMax", "argmax_param { axis: 1 top_k: 4 }", X, message="3; got 4"
    ),
    "argmax axis": refused("ArgMax", "argmax_param { axis: 4 }", X, message="axis 4"),
    "argmax backward": refused("ArgMax", "", X, message="no backward computation"),
    "silence with a top": refused("Silence", "", X, message="exactly 0 top"),
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
        "Power", "loss_weight: 1 loss_weight: 2", X, message="once per top; got 2 for 1"
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
        "Parameter", "parameter_param { shape { dim: 1 } }", X, message="exactly 0 bottom"
    ),
    "blobs of another shape": refused(
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 1 bias_term: false } "
        "blobs { shape { dim: 2 dim: 2 dim: 1 dim: 1 } data: [1, 2, 3, 4] }",
        X,
        message="shape mismatch",
    ),
    "too few blobs": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 } "
        "blobs { shape { dim: 1 dim: 3 dim: 1 dim: 1 } data: [1, 2, 3] }",
        X,
        message="once per parameter; got 1 for 2",
    ),
    "absval in place": (
        net(layer("AbsVal", "x", "x"), ("x", X)),
        "AbsVal layer l: cannot work in place",
    ),
    "flatten in place": (net(layer("Flatten", "x", "x"), ("x", X)), "cannot work in place"),
    "reshape in place": (
        net(layer("Reshape", "x", "x", "reshape_param { shape { dim: -1 } }"), ("x", X)),
        "cannot work in place",
    ),
    "slice in place": (net(layer("Slice", "x", "x y z"), ("x", X)), "cannot work in place"),
}


def _pool(parameters: str, message: str, shape: Shape = X, tops: str = "y") -> tuple[str, str]:
    settings = f"pooling_param {{ {parameters} }}"
    return refused("Pooling", settings, shape, tops=tops, message=message)


STAGE_LAYERS = {
    "conv no num_output": refused_convolution("kernel_size: 1", "num_output must be given"),
    "conv no kernel": refused_convolution("num_output: 1", "kernel_size must be given once"),
    "conv kernel 0": refused_convolution(
        "num_output: 1 kernel_size: 0", "kernel_size must be nonzero"
    ),
    "conv three kernels": refused_convolution("num_output: 1 kernel_size: [1, 1, 1]", "got 3"),
    "conv kernel twice": refused_convolution(
        "num_output: 1 kernel_size: 1 kernel_h: 1 kernel_w: 1", "not both"
    ),
    "conv half a kernel": refused_convolution("num_output: 1 kernel_h: 1", "kernel"),
    "conv pad twice": refused_convolution(
        "num_output: 1 kernel_size: 1 pad: 1 pad_h: 1", "not both"
    ),
    "conv stride 0": refused_convolution(
        "num_output: 1 kernel_size: 1 stride: 0", "stride must be nonzero"
    ),
    "conv group of channels": refused_convolution(
        "num_output: 2 kernel_size: 1 group: 2", "group must divide"
    ),
    "conv group of outputs": refused_convolution(
        "num_output: 2 kernel_size: 1 group: 3", "group must divide"
    ),
    "conv too big": refused_convolution("num_output: 1 kernel_size: 9", "does not fit"),
    "conv filler": refused_convolution(
        'num_output: 1 kernel_size: 1 weight_filler { type: "he" }', "unknown filler type 'he'"
    ),
    "conv uneven bottoms and tops": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 }",
        X,
        X,
        message="as many tops as bottoms; got 2 and 1",
    ),
    "conv of two shapes": refused(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 1 }",
        X,
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
        "InnerProduct", "inner_product_param { }", X, message="num_output must be given"
    ),
    "inner product axis": refused(
        "InnerProduct", "inner_product_param { num_output: 1 axis: 4 }", X, message="axis 4"
    ),
    "softmax axis": refused("Softmax", "softmax_param { axis: 4 }", X, message="axis 4"),
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
def test_where_a_layer_of_real_caffe_aborts_a_caffe_error_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    text, message = LAYERS[case]
    found = both_refuse({"net": text})
    assert "layer l" in found or "filler" in found or "axes" in found
    assert re.search(message, found), found
