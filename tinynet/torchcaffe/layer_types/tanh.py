"""TanH: the hyperbolic tangent (src/caffe/layers/tanh_layer.cpp)."""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("TanH")
class TanH(NeuronLayer):
    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(bottom[0].tensor.tanh())

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y = top[0].tensor
            bottom[0].set_diff(top[0].grad * (1 - y * y))
