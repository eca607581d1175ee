"""Threshold: 1 where x is greater than the threshold, else 0; NaN gives 0.

Source: Caffe's src/caffe/layers/threshold_layer.cpp.  There is no backward.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Threshold")
class Threshold(NeuronLayer):
    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        top[0].set_data((values > self.param.threshold_param.threshold).to(values.dtype))
