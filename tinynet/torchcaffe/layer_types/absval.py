"""AbsVal: |x|, whose slope at 0 is 0 (src/caffe/layers/absval_layer.cpp)."""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("AbsVal")
class AbsVal(NeuronLayer):
    works_in_place = False

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(bottom[0].tensor.abs())

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            bottom[0].set_diff(bottom[0].tensor.sign() * top[0].grad)
