"""BatchReindex: chosen items of a batch, in any order and number.

Bottom 1, of one axis, holds the indices of the items; fractions are cut off.  An item chosen twice
gets the sum of both diffs.

Source: Caffe's src/caffe/layers/batch_reindex_layer.cpp.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("BatchReindex")
class BatchReindex(Layer):
    num_bottom = (2, 2)
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        items, chosen = bottom[0].shape, bottom[1].shape
        self.require(len(items) > 0, "bottom 0 must have an axis of items; it has none")
        self.require(len(chosen) == 1, f"the indices must have one axis; got shape {chosen}")
        top[0].resize((*chosen, *items[1:]))

    def _indices(self, bottom: Blobs) -> torch.Tensor:
        indices, items = bottom[1].tensor, bottom[0].shape[0]
        inside = (indices >= 0) & (indices < items)
        if not bool(inside.all()):
            wrong = float(indices[~inside][0])
            self.require(False, f"an index must be in 0 … {items - 1}; got {wrong:g}")
        return indices.long()

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(bottom[0].tensor[self._indices(bottom)])

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.require(not propagate_down[1], "cannot backpropagate to the indices")
        if propagate_down[0]:
            diff = torch.zeros_like(bottom[0].tensor)
            bottom[0].set_diff(diff.index_add_(0, self._indices(bottom), top[0].grad))
