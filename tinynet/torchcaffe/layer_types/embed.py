"""Embed: a learned vector for each index (src/caffe/layers/embed_layer.cpp).

    y = W[x] + b        W: input_dim × num_output

x holds integers from 0 to input_dim − 1; fractions are cut off.  For other values Caffe's release
build reads beyond the weights; here they are refused.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Embed")
class Embed(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.embed_param
        self.num_output, self.input_dim = param.num_output, param.input_dim
        self.require(self.num_output > 0, "num_output must be given and positive")
        self.require(self.input_dim > 0, "input_dim must be given and positive")
        self.add_blob((self.input_dim, self.num_output), param.weight_filler)
        if param.bias_term:
            self.add_blob((self.num_output,), param.bias_filler)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize((*bottom[0].shape, self.num_output))

    def _indices(self, bottom: Blobs) -> torch.Tensor:
        values = bottom[0].tensor.reshape(-1)
        inside = (values > -1) & (values < self.input_dim)
        if not bool(inside.all()):
            wrong = float(values[~inside][0])
            self.require(False, f"an index must be in 0 … {self.input_dim - 1}; got {wrong:g}")
        return values.long()

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        rows = self.blobs[0].tensor[self._indices(bottom)]
        if len(self.blobs) > 1:
            rows += self.blobs[1].tensor
        top[0].set_data(rows.reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.require(not propagate_down[0], "cannot backpropagate to the indices")
        above = top[0].grad.reshape(-1, self.num_output)
        if self.param_propagate_down[0]:
            diff = torch.zeros_like(self.blobs[0].tensor)
            self.blobs[0].add_diff(diff.index_add_(0, self._indices(bottom), above))
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            self.blobs[1].add_diff(above.sum(0))
