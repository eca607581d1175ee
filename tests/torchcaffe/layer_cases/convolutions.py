"""Convolution."""

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
}
