"""ReLU: max(x, 0) + negative_slope · min(x, 0) (src/caffe/layers/relu_layer.cpp).

With the zeros, infinities and NaN of that very expression: 0 for a negative x without a slope, but
NaN for −inf, which is 0 · −inf.  PyTorch's leaky_relu, in one pass, has −0 there; a clamp has 0 for
−inf.  So it is the clamp where the least value shows that there is none.

And the diff is dy · ((x > 0) + negative_slope · (x ≤ 0)), which is 0 · dy where x is NaN.

Caffe's GPU code is leaky_relu, and is so here.
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
        self._cuts = self.slope == 0 and math.copysign(1, self.slope) > 0

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].computed
        if top[0] is bottom[0]:
            self._rectify(values)
        elif self._leaks(values):
            top[0].set_data(leaky_relu(values, self.slope))
        elif self._cuts and _least(values) > -math.inf:
            top[0].set_data(values.clamp(min=0))
        else:
            top[0].set_data(self._as_written(values))

    def _rectify(self, values: torch.Tensor) -> None:
        """Put each value's top in its place."""
        if self._leaks(values):
            leaky_relu(values, self.slope, inplace=True)
        elif self._cuts and _least(values) > -math.inf:
            values.clamp_(min=0)
        else:
            values.copy_(self._as_written(values))

    def _leaks(self, values: torch.Tensor) -> bool:
        """Whether leaky_relu gives what Caffe does."""
        return self._has_slope or values.device.type != "cpu"

    def _as_written(self, values: torch.Tensor) -> torch.Tensor:
        return values.clamp(min=0) + values.clamp(max=0) * self.slope

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        # In place, bottom holds the outputs: they have the inputs' signs where slope ≥ 0, and where
        # it is not, this is what Caffe computes too.
        values = bottom[0].computed
        above = top[0].computed_diff.to(values.dtype)
        if self.slope == 0 or self._leaks(values) and not self._must_look_for_nan(values):
            diff = torch.ops.aten.leaky_relu_backward(above, values, self.slope, False)
        else:
            diff = above * ((values > 0) + (values <= 0) * self.slope)
        bottom[0].set_diff(diff)

    def _must_look_for_nan(self, values: torch.Tensor) -> bool:
        return values.device.type == "cpu" and math.isnan(_least(values))


def _least(values: torch.Tensor) -> float:
    """The least of ``values``; NaN where one is."""
    return float(values.amin()) if values.numel() else 0.0
