"""Split: one blob for several readers (src/caffe/layers/split_layer.cpp).

The tops share the bottom's data; the bottom's diff is the sum of the tops'.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Split")
class Split(Layer):
    num_top = (1, None)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        for above in top:
            self.require(above is not bottom[0], "cannot work in place")
            above.resize(bottom[0].shape)
            above.share_data(bottom[0])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        pass

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        total = top[0].grad
        for above in top[1:]:
            total = total + above.grad
        bottom[0].set_diff(total.clone() if len(top) == 1 else total)
