"""Convolution (src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp).

    output size = ⌊(H + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1

Weights are num_output × channels/group × kernel…; one set serves all pairs of bottom and top.
"""

from __future__ import annotations

from typing import Any

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register

_NAMED_AXES = ("h", "w")


@register("Convolution")
class Convolution(Layer):
    num_bottom = (1, None)
    num_top = (1, None)
    equal_num_bottom_top = True

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.convolution_param
        axes = len(bottom[0].shape)
        self.axis = self.canonical_axis(param.axis, axes)
        self.require(
            self.axis == 1 and 3 <= axes <= 5,
            f"convolves blobs of N x C x 1 to 3 spatial axes, with axis 1; "
            f"got axis {param.axis} and shape {bottom[0].shape}",
        )
        self.spatial = axes - 2
        self.kernel = self._per_axis(param, "kernel", "kernel_size", None)
        self.stride = self._per_axis(param, "stride", "stride", 1)
        self.pad = self._per_axis(param, "pad", "pad", 0)
        self.dilation = self._per_axis(param, "dilation", "dilation", 1)
        self.require(min(self.kernel) > 0, f"kernel_size must be nonzero; got {self.kernel}")
        self.require(min(self.stride) > 0, f"stride must be nonzero; got {self.stride}")
        self.require(min(self.dilation) > 0, f"dilation must be nonzero; got {self.dilation}")
        self.channels, self.num_output, self.group = (
            bottom[0].shape[1],
            param.num_output,
            param.group,
        )
        self.require(self.num_output > 0, "num_output must be given and positive")
        self.require(
            self.group > 0
            and self.channels % self.group == 0
            and self.num_output % self.group == 0,
            f"group must divide the channels and num_output; got group {self.group}, "
            f"{self.channels} channels, num_output {self.num_output}",
        )
        shape = (self.num_output, self.channels // self.group, *self.kernel)
        self.add_blob(shape, param.weight_filler)
        if param.bias_term:
            self.add_blob((self.num_output,), param.bias_filler)

    def _per_axis(self, param: Any, word: str, field: str, default: int | None) -> list[int]:
        """One value per spatial axis, from ``field`` (once, or per axis) or WORD_h and WORD_w."""
        values = list(getattr(param, field))
        names = [f"{word}_{axis}" for axis in _NAMED_AXES]
        if word != "dilation" and any(param.HasField(name) for name in names):
            self.require(
                self.spatial == 2, f"{names[0]} and {names[1]} are for 2-D convolution only"
            )
            self.require(not values, f"give either {field} or {names[0]}/{names[1]}; not both")
            return [getattr(param, name) for name in names]
        if not values and default is not None:
            values = [default]
        self.require(
            len(values) in (1, self.spatial),
            f"{field} must be given once, or once per spatial axis; got {len(values)} "
            f"for {self.spatial} axes",
        )
        return values * self.spatial if len(values) == 1 else values

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        for below, above in zip(bottom, top):
            self.require(
                len(below.shape) == self.spatial + 2 and below.shape[1] == self.channels,
                f"bottom must have {self.channels} channels and {self.spatial} spatial axes; "
                f"got shape {below.shape}",
            )
            out = [
                (size + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
                for size, kernel, stride, pad, dilation in zip(
                    below.shape[2:], self.kernel, self.stride, self.pad, self.dilation
                )
            ]
            self.require(
                min(out) > 0,
                f"kernel {self.kernel} does not fit into the padded bottom {below.shape}",
            )
            above.resize((below.shape[0], self.num_output, *out))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        weights = self.blobs[0].tensor
        bias = self.blobs[1].tensor if len(self.blobs) > 1 else None
        for below, above in zip(bottom, top):
            above.set_data(
                torch.convolution(
                    below.tensor,
                    weights,
                    bias,
                    self.stride,
                    self.pad,
                    self.dilation,
                    False,
                    [0] * self.spatial,
                    self.group,
                )
            )

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        weights_learn = self.param_propagate_down[0]
        bias_learns = len(self.blobs) > 1 and self.param_propagate_down[1]
        for below, above, down in zip(bottom, top, propagate_down):
            below_diff, weights_diff, bias_diff = torch.ops.aten.convolution_backward(
                above.grad,
                below.tensor,
                self.blobs[0].tensor,
                [self.num_output] if len(self.blobs) > 1 else None,
                self.stride,
                self.pad,
                self.dilation,
                False,
                [0] * self.spatial,
                self.group,
                [down, weights_learn, bias_learns],
            )
            if weights_learn:
                self.blobs[0].add_diff(weights_diff)
            if bias_learns:
                self.blobs[1].add_diff(bias_diff)
            if down:
                below.set_diff(below_diff)
