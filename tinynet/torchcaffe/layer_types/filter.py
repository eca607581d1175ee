"""Filter: the items of each bottom for which the last bottom, the selector, is not 0.

So the number of items in the tops depends on the selector's values.  As in Caffe, it is the whole
batch until the first forward.  If no item is selected, Caffe's backward divides by 0 and dies; here
the diffs are 0.

Source: Caffe's src/caffe/layers/filter_layer.cpp.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Filter")
class Filter(Layer):
    num_bottom = (2, None)
    num_top = (1, None)
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.require(
            len(top) == len(bottom) - 1,
            f"needs a top for each bottom except the selector; got {len(top)} for {len(bottom)}",
        )
        self._is_new = True

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        *filtered, selector = bottom
        shape = selector.shape
        self.require(
            len(shape) > 0 and all(size == 1 for size in shape[1:]),
            f"the selector must have one value per item, so its other axes must be 1; got shape "
            f"{shape}",
        )
        for below in filtered:
            self.require(
                below.shape[:1] == shape[:1],
                f"every bottom must have as many items as the selector; got shapes {below.shape} "
                f"and {shape}",
            )
        if self._is_new:
            self._selected = torch.arange(shape[0], device=selector.tensor.device)
            self._is_new = False
        else:
            self._selected = selector.tensor.reshape(-1).nonzero().reshape(-1)
        for below, above in zip(filtered, top):
            above.resize((len(self._selected), *below.shape[1:]))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        for below, above in zip(bottom, top):
            above.set_data(below.tensor[self._selected])

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.require(not propagate_down[-1], "cannot backpropagate to the selector")
        for below, above, down in zip(bottom, top, propagate_down):
            if down:
                diff = torch.zeros_like(below.tensor)
                diff[self._selected] = above.grad
                below.set_diff(diff)
