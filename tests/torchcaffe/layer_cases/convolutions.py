"""Layers that move a window: Convolution, Deconvolution, Im2col and SPP."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import Case, Inputs
from tests.torchcaffe.small_nets import GAUSSIAN


def _conv(parameters: str, inputs: Inputs, tops: str = "y") -> Case:
    return Case("Convolution", f"convolution_param {{ {parameters} {GAUSSIAN} }}", inputs, tops)


CONVOLUTIONS = {
    "conv over one axis": _conv("num_output: 3 kernel_size: 3 pad: 1", {"x": (2, 4, 7)}),
    "conv over three axes": _conv(
        "num_output: 4 kernel_size: 2 stride: [2, 1, 1] group: 2", {"x": (2, 4, 4, 3, 3)}
    ),
    "conv over none": _conv("num_output: 3", {"x": (2, 4)}),
    "conv by lists": _conv(
        "num_output: 3 kernel_size: [2, 3] pad: [0, 1] dilation: [1, 2]", {"x": (2, 3, 5, 6)}
    ),
    "conv axis 2": _conv("num_output: 3 kernel_size: 3 axis: 2", {"x": (2, 2, 3, 4, 5)}),
    "conv axis 0": _conv("num_output: 3 kernel_size: 3 axis: -3", {"x": (3, 5, 6)}),
    "conv of two": _conv(
        "num_output: 3 kernel_size: 3", {"a": (1, 2, 4, 5), "b": (1, 2, 4, 5)}, "y z"
    ),
    "conv over four axes": _conv(
        "num_output: 4 kernel_size: 2 stride: [1, 2, 1, 1] pad: [0, 1, 0, 0] group: 2",
        {"x": (2, 4, 3, 3, 2, 3)},
    ),
    "conv beyond the bottom": _conv(
        "num_output: 4 kernel_size: 4 stride: 2 group: 2", {"x": (2, 4, 3, 6)}
    ),
    "conv beyond the padding": _conv(
        "num_output: 3 kernel_size: 7 stride: 4 pad: 1", {"x": (2, 3, 3, 4)}
    ),
    "conv dilation 0": _conv(
        "num_output: 3 kernel_size: 3 stride: 2 pad: 1 dilation: 0", {"x": (2, 3, 4, 5)}
    ),
}


def _deconv(parameters: str, inputs: Inputs, tops: str = "y") -> Case:
    return Case("Deconvolution", f"convolution_param {{ {parameters} {GAUSSIAN} }}", inputs, tops)


_SMALL: Inputs = {"x": (2, 4, 3, 4)}

DECONVOLUTIONS = {
    "deconv": _deconv("num_output: 3 kernel_size: 3", _SMALL),
    "deconv stride pad": _deconv("num_output: 3 kernel_size: 4 stride: 2 pad: 1", _SMALL),
    "deconv group": _deconv("num_output: 6 kernel_size: 3 stride: 2 group: 2", _SMALL),
    "deconv dilation": _deconv("num_output: 3 kernel_size: 3 dilation: 2 pad: 1", _SMALL),
    "deconv by lists": _deconv(
        "num_output: 3 kernel_size: [2, 3] stride: [3, 1] pad: [0, 1] dilation: [1, 2]", _SMALL
    ),
    "deconv not square": _deconv(
        "num_output: 3 kernel_h: 2 kernel_w: 3 pad_h: 0 pad_w: 1 stride_h: 1 stride_w: 2", _SMALL
    ),
    "deconv no bias": Case(
        "Deconvolution",
        "convolution_param { num_output: 3 kernel_size: 2 bias_term: false "
        'weight_filler { type: "gaussian" std: 0.3 } }',
        _SMALL,
    ),
    "deconv 1x1": _deconv("num_output: 3 kernel_size: 1", _SMALL),
    "deconv stride beyond the kernel": _deconv("num_output: 2 kernel_size: 1 stride: 3", _SMALL),
    "deconv bilinear": Case(
        "Deconvolution",
        "convolution_param { num_output: 4 group: 4 kernel_size: 4 stride: 2 pad: 1 "
        'bias_term: false weight_filler { type: "bilinear" } }',
        _SMALL,
    ),
    "deconv by the general im2col": _deconv(
        "num_output: 3 kernel_size: 3 stride: 2 force_nd_im2col: true", _SMALL
    ),
    "deconv over one axis": _deconv("num_output: 3 kernel_size: 3 stride: 2", {"x": (2, 4, 5)}),
    "deconv over three axes": _deconv(
        "num_output: 4 kernel_size: 2 stride: [2, 1, 1] group: 2", {"x": (2, 4, 2, 3, 2)}
    ),
    "deconv over four axes": _deconv(
        "num_output: 4 kernel_size: 2 stride: [1, 2, 1, 1] pad: [0, 1, 0, 0] group: 2",
        {"x": (2, 4, 2, 3, 2, 2)},
    ),
    "deconv dilation 0": _deconv(
        "num_output: 4 kernel_size: 3 stride: 2 dilation: 0 group: 2", _SMALL
    ),
    "deconv over none": _deconv("num_output: 3", {"x": (2, 4)}),
    "deconv axis 2": _deconv("num_output: 3 kernel_size: 3 axis: 2", {"x": (2, 2, 3, 2, 3)}),
    "deconv axis 0": _deconv("num_output: 2 kernel_size: 3 axis: -3", {"x": (3, 4, 3)}),
    "deconv of two": _deconv(
        "num_output: 3 kernel_size: 3 stride: 2", {"a": (1, 2, 2, 3), "b": (1, 2, 2, 3)}, "y z"
    ),
}


def _columns(parameters: str, inputs: Inputs) -> Case:
    return Case("Im2col", f"convolution_param {{ {parameters} }}", inputs)


IM2COLS = {
    "im2col": _columns("kernel_size: 2", {"x": (2, 3, 4, 5)}),
    "im2col pad stride": _columns("kernel_size: 3 pad: 2 stride: 2", {"x": (2, 3, 5, 4)}),
    "im2col dilation": _columns("kernel_size: 2 dilation: 3 pad: 1", {"x": (2, 3, 5, 4)}),
    "im2col not square": _columns(
        "kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2", {"x": (2, 3, 5, 4)}
    ),
    "im2col over one axis": _columns("kernel_size: 3 stride: 2", {"x": (2, 3, 7)}),
    "im2col over three axes": _columns("kernel_size: [2, 1, 3]", {"x": (2, 2, 3, 2, 4)}),
    "im2col over four axes": _columns("kernel_size: [2, 1, 3, 1]", {"x": (2, 2, 3, 2, 4, 2)}),
    "im2col beyond the bottom": _columns("kernel_size: 4 stride: 2", {"x": (2, 2, 3, 5)}),
    "im2col dilation 0": _columns("kernel_size: 2 stride: 2 dilation: 0", {"x": (2, 3, 4, 5)}),
    "im2col axis 2": _columns("kernel_size: 2 axis: 2", {"x": (2, 2, 3, 3, 4)}),
    "im2col axis 0": _columns("kernel_size: 2 axis: 0 force_nd_im2col: true", {"x": (3, 3, 4)}),
}

PYRAMIDS = {
    "spp": Case("SPP", "spp_param { pyramid_height: 3 }", {"x": (2, 3, 8, 9)}),
    "spp average": Case("SPP", "spp_param { pyramid_height: 2 pool: AVE }", {"x": (2, 3, 5, 4)}),
    "spp of odd sizes": Case("SPP", "spp_param { pyramid_height: 3 }", {"x": (2, 2, 6, 11)}),
    "spp one level": Case("SPP", "spp_param { pyramid_height: 1 }", {"x": (2, 3, 5, 4)}),
    "spp one level, average": Case(
        "SPP", "spp_param { pyramid_height: 1 pool: AVE }", {"x": (2, 3, 5, 4)}
    ),
}
