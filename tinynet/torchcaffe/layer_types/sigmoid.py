"""Sigmoid: 1 / (1 + exp(−x)) (src/caffe/layers/sigmoid_layer.cpp)."""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer


def sigmoid(values: torch.Tensor) -> torch.Tensor:
    """½ · tanh(½ · x) + ½ in double precision, as in Caffe: exactly 0 below about −38."""
    return (values.double() * 0.5).tanh_().mul_(0.5).add_(0.5).to(values.dtype)


@register("Sigmoid")
class Sigmoid(NeuronLayer):
    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(sigmoid(bottom[0].tensor))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y = top[0].tensor
            bottom[0].set_diff(top[0].grad * y * (1 - y))
