"""Swish: x · sigmoid(beta · x) (src/caffe/layers/swish_layer.cpp)."""

from __future__ import annotations

from tinynet.torchcaffe.affine import scaled
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.layer_types.sigmoid import sigmoid
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Swish")
class Swish(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.beta = self.param.swish_param.beta

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        self._sigmoid = sigmoid(scaled(values, self.beta))
        top[0].set_data(values * self._sigmoid)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y = (top[0].tensor * self.beta).double()  # in float32, 1 − y would lose the 1
            slope = y + self._sigmoid * (1 - y)
            bottom[0].set_diff((top[0].grad * slope).to(self._sigmoid.dtype))
