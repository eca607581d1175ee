"""Flatten: axes ``axis`` to ``end_axis`` become one (src/caffe/layers/flatten_layer.cpp).

Top and bottom share data from the first forward on, and diffs from the first backward on.
"""

from __future__ import annotations

import math

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Flatten")
class Flatten(Layer):
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param, shape = self.param.flatten_param, bottom[0].shape
        start = self.canonical_axis(param.axis, len(shape))
        end = self.canonical_axis(param.end_axis, len(shape)) + 1
        self.require(
            start <= end,
            f"axis must not lie beyond end_axis; got {param.axis} and {param.end_axis} for "
            f"shape {shape}",
        )
        top[0].resize((*shape[:start], math.prod(shape[start:end]), *shape[end:]))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].share_data(bottom[0])

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        bottom[0].share_diff(top[0])
