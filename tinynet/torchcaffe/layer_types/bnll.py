"""BNLL: log(1 + exp(x)), the binomial normal log likelihood (src/caffe/layers/bnll_layer.cpp).

Caffe computes the logarithm in double precision, so the top becomes 0 only near x = −37.  In place,
Caffe computes the slope from the outputs; so do we.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer

# for larger x, backward uses the slope of this, since exp(x) would overflow
_LARGEST = 50.0


@register("BNLL")
class BNLL(NeuronLayer):
    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        # for positive x, x + log(1 + exp(−x)) is the same, and does not overflow
        log = values.abs().neg_().exp_().double().add_(1).log_()
        top[0].set_data(torch.where(values > 0, values + log, log).to(values.dtype))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            power = bottom[0].tensor.clamp(max=_LARGEST).exp_()
            product = (top[0].grad * power).double()
            bottom[0].set_diff(product.div_(power.double().add_(1)).to(power.dtype))
