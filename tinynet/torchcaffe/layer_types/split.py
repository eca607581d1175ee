"""Split: one blob for several readers (src/caffe/layers/split_layer.cpp).

The tops share the bottom's data; the bottom's diff is the sum of the tops' diffs.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Split")
class Split(Layer):
    num_top = (1, None)
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        below = bottom[0]
        shape = below.shape
        for above in top:
            above.resize(shape)
            # at every forward, not only by_shapes: the bottom can share another blob's data
            above.share_data(below)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        """The data is shared."""

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        total = top[0].grad
        for above in top[1:]:
            total = total + above.grad
        bottom[0].set_diff(total.clone() if len(top) == 1 else total)
