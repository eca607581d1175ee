"""ContrastiveLoss: pulls similar pairs together, and pushes dissimilar ones ``margin`` apart.

With d = |a − b| over the channels and y the label of the pair (0: dissimilar):

    loss = Σ (d² where y, else max(margin − d, 0)²) / 2N
    loss = Σ (d² where y, else max(margin − d², 0)) / 2N        with legacy_version

    da = (a − b) / N                                            where y
    da = −(margin − d) / (d + 10⁻⁴) · (a − b) / N               else, while d < margin
    da = −(a − b) / N                                           else, while d² < margin, legacy

and db = −da.  Source: Caffe's src/caffe/layers/contrastive_loss_layer.cpp.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.loss_layer import LossLayer

_NEAR_ZERO = 1e-4  # keeps the slope finite where both elements of a pair are equal


@register("ContrastiveLoss")
class ContrastiveLoss(LossLayer):
    num_bottom = (3, 3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.contrastive_loss_param
        self.margin, self.legacy = param.margin, param.legacy_version
        first, second, labels = bottom
        self.require(
            first.channels == second.channels,
            f"both bottoms of a pair must have the same number of channels; got shapes "
            f"{first.shape} and {second.shape}",
        )
        self.require(
            all((blob.height, blob.width) == (1, 1) for blob in bottom) and labels.channels == 1,
            "pairs must be N×C×1×1 and labels N×1×1×1; got shapes "
            f"{first.shape}, {second.shape} and {labels.shape}",
        )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        self.require(
            bottom[2].num == bottom[0].num,
            f"there must be one label for each pair; got shapes {bottom[0].shape} and "
            f"{bottom[2].shape}",
        )

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        shape = (bottom[0].num, bottom[0].channels)
        self._difference = bottom[0].tensor.reshape(shape) - bottom[1].tensor.reshape(shape)
        self._similar = bottom[2].tensor.reshape(-1).trunc() != 0
        self._squared = self._difference.square().sum(1)
        if self.legacy:
            dissimilar = (self.margin - self._squared).clamp(min=0)
        else:
            dissimilar = (self.margin - self._squared.sqrt()).clamp(min=0).square()
        loss = torch.where(self._similar, self._squared, dissimilar).sum()
        top[0].set_data(loss / bottom[0].num / 2)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if self.legacy:
            room = self.margin - self._squared
            slope = -torch.ones_like(room)
        else:
            distance = self._squared.sqrt()
            room = self.margin - distance
            slope = -room / (distance + _NEAR_ZERO)
        slope = torch.where(room > 0, slope, 0.0)
        slope = torch.where(self._similar, 1.0, slope)
        # where the slope is 0, the diff is 0 even if the difference is not finite
        pairs = torch.where(slope[:, None] == 0, 0.0, slope[:, None] * self._difference)
        for below, down, sign in zip(bottom, propagate_down, (1, -1)):
            if down:
                diff = pairs * (sign * top[0].grad / below.num)
                below.set_diff(diff.reshape(below.shape))
