"""Clip: x limited to ``min`` … ``max`` (src/caffe/layers/clip_layer.cpp).

As in Caffe, NaN becomes ``min``, and the diff still passes where x equals ``min`` or ``max``.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Clip")
class Clip(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.min, self.max = self.param.clip_param.min, self.param.clip_param.max

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        values = torch.where(values > self.max, self.max, values)
        top[0].set_data(torch.where(values > self.min, values, self.min))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            values = bottom[0].tensor
            bottom[0].set_diff(top[0].grad * ((values >= self.min) & (values <= self.max)))
