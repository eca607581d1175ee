"""Power: (shift + scale · x)^power (src/caffe/layers/power_layer.cpp).

In place, Caffe computes the slopes from the outputs and writes them over the diffs that they should
multiply, so its gradient is the square of the slope, which is wrong.  Ours is the same.
"""

from __future__ import annotations

import math

import torch

from tinynet.torchcaffe.affine import affine
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Power")
class Power(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.power_param
        self.power, self.scale, self.shift = param.power, param.scale, param.shift

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        if self.power * self.scale == 0:
            # the same for every x; 0⁰ is 1
            top[0].set_data(torch.full_like(values, self.shift).pow_(self.power))
            return
        values = affine(values, self.scale, self.shift)
        if self.power == 1:
            top[0].set_data(values.clone())
        elif abs(self.power) == 0.5:
            top[0].set_data(_root(values) if self.power > 0 else _root(values).reciprocal_())
        else:
            top[0].set_data(values.pow(self.power))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            slope = self._slope(top, bottom)
            if self.power * self.scale == 0:
                bottom[0].set_diff(slope)  # 0, even if the top's diff is not finite
                return
            bottom[0].set_diff(slope * (slope if top[0] is bottom[0] else top[0].grad))

    def _slope(self, top: Blobs, bottom: Blobs) -> torch.Tensor:
        slope = self.power * self.scale
        values = bottom[0].tensor
        if slope == 0 or self.power == 1:
            return torch.full_like(values, slope)
        if self.power == 2:
            return values * (slope * self.scale) + slope * self.shift
        # y / (shift + scale · x), which is NaN at 0, as in Caffe
        if self.shift == 0:
            return top[0].tensor / values * self.power
        return top[0].tensor / affine(values, self.scale, self.shift) * slope


def _root(values: torch.Tensor) -> torch.Tensor:
    """C's pow(x, ½), which is unlike the square root 0 for −0 and infinite for −inf."""
    return torch.where(values == -math.inf, math.inf, values.sqrt().abs_())
