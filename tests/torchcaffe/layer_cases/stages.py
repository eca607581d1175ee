"""The types of layer that the stages are made of, in settings beyond the stages' own."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import Case, Inputs, positive, whole
from tests.torchcaffe.small_nets import GAUSSIAN, normal

_IMAGES: Inputs = {"x": (2, 3, 6, 5)}


def _conv(parameters: str, inputs: Inputs = _IMAGES) -> Case:
    return Case("Convolution", f"convolution_param {{ {parameters} {GAUSSIAN} }}", inputs)


def _pool(parameters: str, inputs: Inputs = _IMAGES, phase: int = 0) -> Case:
    return Case("Pooling", f"pooling_param {{ {parameters} }}", inputs, phase=phase)


def _product(parameters: str, inputs: Inputs) -> Case:
    return Case("InnerProduct", f"inner_product_param {{ {parameters} {GAUSSIAN} }}", inputs)


def _loss(parameters: str = "") -> Case:
    inputs: Inputs = {"x": normal(7, (3, 5, 2, 2)), "label": whole(2, (3, 2, 2), 5)}
    passed = "propagate_down: true propagate_down: false"
    return Case("SoftmaxWithLoss", f"{passed} {parameters}", inputs)


STAGES = {
    "conv plain": _conv("num_output: 4 kernel_size: 3"),
    "conv pad stride": _conv("num_output: 4 kernel_size: 5 pad: 2 stride: 2"),
    "conv group": _conv("num_output: 6 kernel_size: 3 group: 3"),
    "conv group pad stride": _conv(
        "num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 2", {"x": (2, 4, 3, 4)}
    ),
    "conv dilation": _conv("num_output: 4 kernel_size: 3 dilation: 2"),
    "conv not square": _conv(
        "num_output: 4 kernel_h: 2 kernel_w: 4 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2"
    ),
    "conv no bias": _conv("num_output: 4 kernel_size: 3 bias_term: false"),
    "conv by the general im2col": _conv(
        "num_output: 4 kernel_size: 3 pad: 1 force_nd_im2col: true", {"x": (2, 3, 4, 4)}
    ),
    "conv 1x1": _conv("num_output: 4 kernel_size: 1"),
    "conv of eight outputs": _conv("num_output: 8 kernel_size: 2 stride: 2", {"x": (2, 2, 5, 4)}),
    "conv of eight outputs, no bias": _conv(
        "num_output: 8 kernel_h: 1 kernel_w: 3 bias_term: false", {"x": (2, 2, 2, 4)}
    ),
    "max pool even": _pool("kernel_size: 2 stride: 2", {"x": (2, 3, 4, 4)}),
    "max pool rounds up": _pool("kernel_size: 2 stride: 2", {"x": (2, 3, 5, 3)}),
    "max pool overlaps": _pool("kernel_size: 3 stride: 2"),
    "max pool pads": _pool("kernel_size: 3 stride: 2 pad: 1"),
    "max pool clips last window": _pool("kernel_size: 2 stride: 2 pad: 1", {"x": (2, 3, 5, 6)}),
    "max pool beyond the bottom": _pool("kernel_size: 4 stride: 2", {"x": (2, 3, 3, 6)}),
    "max pool, stride beyond the kernel": _pool("kernel_size: 2 stride: 3 pad: 1"),
    "max pool not square": _pool(
        "kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1"
    ),
    "max pool pads one axis, and drops a window of the other": _pool(
        "kernel_size: 2 stride: 3 pad_h: 1 pad_w: 0", {"x": (2, 3, 5, 6)}
    ),
    "max pool global": _pool("global_pooling: true"),
    "average pool": _pool("pool: AVE kernel_size: 3 stride: 2"),
    "average pool pads": _pool("pool: AVE kernel_size: 3 stride: 2 pad: 1"),
    "average pool pads one axis, and drops a window of the other": _pool(
        "pool: AVE kernel_size: 2 stride: 3 pad_h: 0 pad_w: 1", {"x": (2, 3, 6, 5)}
    ),
    "average pool big pad": _pool("pool: AVE kernel_size: 4 stride: 3 pad: 3"),
    "average pool beyond the padding": _pool(
        "pool: AVE kernel_size: 7 stride: 4 pad: 1", {"x": (2, 3, 3, 4)}
    ),
    "average pool global": _pool("pool: AVE global_pooling: true"),
    "inner product": _product("num_output: 5", {"x": (4, 3, 2, 2)}),
    "inner product transposed": _product("num_output: 5 transpose: true", {"x": (4, 12)}),
    "inner product axis 2": _product("num_output: 5 axis: 2", {"x": (2, 3, 4, 2)}),
    "inner product axis -1": _product("num_output: 5 axis: -1", {"x": (2, 3, 4)}),
    "inner product no bias": _product("num_output: 5 bias_term: false", {"x": (4, 12)}),
    "relu": Case("ReLU"),
    "leaky relu": Case("ReLU", "relu_param { negative_slope: 0.01 }"),
    "relu negative slope below zero": Case("ReLU", "relu_param { negative_slope: -0.5 }"),
    "softmax": Case("Softmax", inputs={"x": (4, 6)}),
    "softmax axis 2": Case("Softmax", "softmax_param { axis: 2 }", {"x": (2, 3, 4, 2)}),
    "dropout in test": Case("Dropout", phase=1),
    "softmax loss": _loss(),
    "softmax loss ignores": _loss("loss_param { ignore_label: 2 }"),
    "softmax loss full": _loss("loss_param { ignore_label: 2 normalization: FULL }"),
    "softmax loss by batch size": _loss("loss_param { normalization: BATCH_SIZE }"),
    "softmax loss none": _loss("loss_param { normalization: NONE }"),
    "softmax loss not normalized, as older nets say it": _loss("loss_param { normalize: false }"),
    "softmax loss weighted": _loss("loss_weight: 0.4"),
    "split": Case("Split", "", {"x": (2, 3)}, "y z"),
}
# real Caffe has it only on a GPU
STOCHASTIC = {
    "stochastic pool in test": _pool(
        "pool: STOCHASTIC kernel_size: 3 stride: 2", {"x": positive(3, (2, 3, 6, 5))}, phase=1
    )
}
