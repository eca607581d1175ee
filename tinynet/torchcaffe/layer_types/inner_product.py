"""InnerProduct: y = W x + b (src/caffe/layers/inner_product_layer.cpp).

The axes from ``axis`` on are flattened into K; W is num_output × K, or K × num_output with
``transpose``.
"""

from __future__ import annotations

import math

import torch

from tinynet.torchcaffe.blob import Blob, shaped
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register


@register("InnerProduct")
class InnerProduct(Layer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.inner_product_param
        self.num_output = param.num_output
        self.require(self.num_output > 0, "num_output must be given and positive")
        self.axis = self.canonical_axis(param.axis, len(bottom[0].shape))
        self.inputs = math.prod(bottom[0].shape[self.axis :])
        self.transpose = param.transpose
        shape = (self.inputs, self.num_output) if self.transpose else (self.num_output, self.inputs)
        self.add_blob(shape, param.weight_filler)
        if param.bias_term:
            self.add_blob((self.num_output,), param.bias_filler)

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(
            math.prod(shape[self.axis :]) == self.inputs,
            f"input size is incompatible with the weights: they take {self.inputs} values per "
            f"row; bottom has shape {shape}",
        )
        top[0].resize((*shape[: self.axis], self.num_output))

    def _rows(self, blob: Blob) -> torch.Tensor:
        return _in_rows(self.cast(blob.computed), self.inputs)

    def _param(self, index: int) -> torch.Tensor:
        return self.cast(self.blobs[index].tensor)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        weights = self._param(0)
        weights = weights if self.transpose else weights.t()
        rows = self._rows(bottom[0])
        out = torch.addmm(self._param(1), rows, weights) if len(self.blobs) > 1 else rows @ weights
        top[0].set_data(shaped(out, top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        above = _in_rows(self.cast(top[0].computed_diff), self.num_output)
        if self.param_propagate_down[0]:
            rows = self._rows(bottom[0])
            self.blobs[0].add_diff(rows.t() @ above if self.transpose else above.t() @ rows)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            self.blobs[1].add_diff(above.sum(0))
        if propagate_down[0]:
            weights = self._param(0)
            below = above @ (weights.t() if self.transpose else weights)
            bottom[0].set_diff(shaped(below, bottom[0].shape))


def _in_rows(values: torch.Tensor, length: int) -> torch.Tensor:
    return values if values.dim() == 2 and values.shape[1] == length else values.reshape(-1, length)
