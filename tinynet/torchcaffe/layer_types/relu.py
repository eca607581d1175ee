"""ReLU: max(x, 0) + negative_slope · min(x, 0) (src/caffe/layers/relu_layer.cpp)."""

from __future__ import annotations

import torch
from torch.nn.functional import leaky_relu

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("ReLU")
class ReLU(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.slope = self.param.relu_param.negative_slope

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].computed
        if top[0] is bottom[0]:
            self.rectify(values)
        else:
            top[0].set_data(leaky_relu(values, self.slope))

    def rectify(self, values: torch.Tensor) -> None:
        """Put each value's top in its place."""
        leaky_relu(values, self.slope, inplace=True)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            values = bottom[0].computed
            # In place, bottom holds the outputs: they have the inputs' signs where slope ≥ 0, and
            # where it is not, this is what Caffe computes too.
            bottom[0].set_diff(
                torch.ops.aten.leaky_relu_backward(
                    top[0].computed_diff.to(values.dtype), values, self.slope, False
                )
            )
