"""Log: log_base(shift + scale · x); base −1 stands for e (src/caffe/layers/log_layer.cpp).

In place, Caffe computes the slopes from the outputs and writes them over the diffs that they should
multiply, so its gradient is the square of the slope, which is wrong.  Ours is the same.
"""

from __future__ import annotations

import math

from tinynet.torchcaffe.affine import affine
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Log")
class Log(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.log_param
        self.require(
            param.base == -1 or (0 < param.base < math.inf and param.base != 1),
            f"base must be positive and not 1, or -1 for e; got {param.base}",
        )
        self.log_base = 1.0 if param.base == -1 else math.log(param.base)
        self.scale, self.shift = param.scale, param.shift

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(affine(bottom[0].tensor, self.scale, self.shift).log() / self.log_base)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            values = affine(bottom[0].tensor, self.scale, self.shift)
            slope = (self.scale / self.log_base) / values
            bottom[0].set_diff(slope * (slope if top[0] is bottom[0] else top[0].grad))
