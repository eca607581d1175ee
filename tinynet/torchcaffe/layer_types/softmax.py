"""Softmax along one axis (src/caffe/layers/softmax_layer.cpp)."""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register


@register("Softmax")
class Softmax(Layer):
    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.axis = self.canonical_axis(self.param.softmax_param.axis, len(shape))
        top[0].resize(shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(torch.softmax(bottom[0].tensor, self.axis))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            # d = (g − Σ g·y) · y along the axis
            outputs, above = top[0].tensor, top[0].grad
            inner = (above * outputs).sum(self.axis, keepdim=True)
            bottom[0].set_diff((above - inner) * outputs)
