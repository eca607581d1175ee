"""ReLU: max(x, 0) + negative_slope · min(x, 0) (src/caffe/layers/relu_layer.cpp).

Zeros, infinities and NaN are those of that expression: with slope 0, a negative x gives 0, but −inf
gives NaN, which is 0 · −inf.  PyTorch's leaky_relu, a single pass, gives −0 for a negative x, and a
clamp gives 0 for −inf.  So a clamp is used if the least value shows that there is no −inf.

The diff is dy · ((x > 0) + negative_slope · (x ≤ 0)), which is 0 · dy where x is NaN.

Caffe's GPU code computes what leaky_relu does, so leaky_relu is used there.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import leaky_relu

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("ReLU")
class ReLU(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.slope = self.param.relu_param.negative_slope
        self._has_slope = 0 < self.slope < math.inf
        self._clamps = self.slope == 0 and math.copysign(1, self.slope) > 0

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].computed
        if top[0] is bottom[0]:
            self._rectify(values)
        elif self._suits_leaky_relu(values):
            top[0].set_data(leaky_relu(values, self.slope))
        elif self._clamps and _least(values) > -math.inf:
            top[0].set_data(values.clamp(min=0))
        else:
            top[0].set_data(self._caffes_expression(values))

    def _rectify(self, values: torch.Tensor) -> None:
        """Replace each value by its output."""
        if self._suits_leaky_relu(values):
            leaky_relu(values, self.slope, inplace=True)
        elif self._clamps and _least(values) > -math.inf:
            values.clamp_(min=0)
        else:
            values.copy_(self._caffes_expression(values))

    def _suits_leaky_relu(self, values: torch.Tensor) -> bool:
        """Whether leaky_relu gives Caffe's outputs."""
        return self._has_slope or values.device.type != "cpu"

    def _caffes_expression(self, values: torch.Tensor) -> torch.Tensor:
        return values.clamp(min=0) + values.clamp(max=0) * self.slope

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        # In place, bottom holds the outputs, whose signs are the inputs' if slope ≥ 0; if it is
        # negative, Caffe uses the outputs too.
        values = bottom[0].computed
        above = top[0].computed_diff.to(values.dtype)
        agrees = self.slope == 0 or values.device.type != "cpu"
        if agrees or (self._has_slope and not math.isnan(_least(values))):
            diff = torch.ops.aten.leaky_relu_backward(above, values, self.slope, False)
        else:
            diff = above * ((values > 0) + (values <= 0) * self.slope)
        bottom[0].set_diff(diff)


def _least(values: torch.Tensor) -> float:
    """The least of ``values``; NaN if any of them is NaN, 0 if there are none."""
    return float(values.amin()) if values.numel() else 0.0
