"""Exp: base^(shift + scale · x); base −1 stands for e (src/caffe/layers/exp_layer.cpp)."""

from __future__ import annotations

import math

from tinynet.torchcaffe.affine import scaled
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


@register("Exp")
class Exp(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.exp_param
        natural = param.base == -1
        finite = 0 < param.base < math.inf
        self.require(natural or finite, f"base must be positive, or -1 for e; got {param.base}")
        log_base = 1.0 if natural else math.log(param.base)
        self.inner_scale = log_base * param.scale
        self.outer_scale = math.exp(log_base * param.shift)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(scaled(bottom[0].tensor, self.inner_scale).exp() * self.outer_scale)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            bottom[0].set_diff(scaled(top[0].tensor * top[0].grad, self.inner_scale))
