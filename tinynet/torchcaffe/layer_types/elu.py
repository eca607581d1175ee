"""ELU: max(x, 0) + alpha · (exp(min(x, 0)) − 1) (src/caffe/layers/elu_layer.cpp)."""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("ELU")
class ELU(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.alpha = self.param.elu_param.alpha

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        top[0].set_data(values.clamp(min=0) + self.alpha * (values.clamp(max=0).exp() - 1))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            # the slope for negative x is alpha · exp(x) = alpha + y; NaN for inf, as in Caffe
            values = bottom[0].tensor
            slope = (values > 0) + (self.alpha + top[0].tensor) * (values <= 0)
            bottom[0].set_diff(top[0].grad * slope)
