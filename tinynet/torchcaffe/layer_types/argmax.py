"""ArgMax: the indices (and values) of the largest values (src/caffe/layers/argmax_layer.cpp).

Without ``axis`` each image is one list of values, and the top is N × 1 × top_k indices, or with
``out_max_val`` N × 2 × top_k indices and values.  With ``axis`` the top has along that axis the
top_k indices, or with ``out_max_val`` the values.  Of equal values the later one comes first.
"""

from __future__ import annotations

import math

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("ArgMax")
class ArgMax(Layer):
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param, shape = self.param.argmax_param, bottom[0].shape
        self.top_k, self.with_values = param.top_k, param.out_max_val
        self.require(len(shape) > 0, "bottom must have at least 1 axis")
        self.axis = None
        if param.HasField("axis"):
            self.axis = self.canonical_axis(param.axis, len(shape))
        candidates = math.prod(shape[1:]) if self.axis is None else shape[self.axis]
        self.require(
            1 <= self.top_k <= candidates,
            f"top_k must be from 1 to the number of values, {candidates}; got {self.top_k}",
        )
        if self.axis is None:
            rows = (shape[0], 2 if self.with_values else 1, self.top_k)
            top[0].resize(rows + (1,) * (len(shape) - 3))
        else:
            top[0].resize((*shape[: self.axis], self.top_k, *shape[self.axis + 1 :]))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        if self.axis is None:
            best, indices = self._largest(values.reshape(values.shape[0], -1), 1)
            parts = [indices, best] if self.with_values else [indices]
            top[0].set_data(torch.stack(parts, 1).reshape(top[0].shape))
        else:
            best, indices = self._largest(values, self.axis)
            top[0].set_data(best if self.with_values else indices)

    def _largest(self, values: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The top_k largest values along ``axis``, and their indices as floats."""
        best, flipped = values.flip(axis).sort(stable=True, dim=axis, descending=True)
        indices = values.shape[axis] - 1 - flipped.narrow(axis, 0, self.top_k)
        return best.narrow(axis, 0, self.top_k).clone(), indices.to(values.dtype)
