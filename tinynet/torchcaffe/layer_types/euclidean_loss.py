"""EuclideanLoss: Σ (a − b)² / 2N, with diffs for a and b.

Source: Caffe's src/caffe/layers/euclidean_loss_layer.cpp.
"""

from __future__ import annotations

import math

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.loss_layer import LossLayer


@register("EuclideanLoss")
class EuclideanLoss(LossLayer):
    def allow_force_backward(self, bottom_index: int) -> bool:
        return True

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        first, second = bottom[0].shape, bottom[1].shape
        self.require(
            math.prod(first[1:]) == math.prod(second[1:]),
            f"bottoms must have the same dimension per image; got shapes {first} and {second}",
        )

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        first, second = bottom[0].tensor, bottom[1].tensor
        self._difference = first - second.reshape(first.shape)
        top[0].set_data(self._difference.square().sum() / (2 * bottom[0].num))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        for below, down, sign in zip(bottom, propagate_down, (1, -1)):
            if down:
                diff = self._difference * (sign * top[0].grad / below.num)
                below.set_diff(diff.reshape(below.shape))
