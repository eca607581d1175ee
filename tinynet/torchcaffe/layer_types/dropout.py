"""Dropout (src/caffe/layers/dropout_layer.cpp).

In TRAIN each element is kept with probability 1 − dropout_ratio, and divided by it; in TEST the
layer is the identity.  On a CPU the mask is real Caffe's, drawn from the main stream.

A ratio of 1 keeps nothing and divides by 0: as in Caffe, 0 · ∞ makes every value NaN in TRAIN.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register
from tinynet.torchcaffe.random_numbers import random


@register("Dropout")
class Dropout(Layer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.ratio = self.param.dropout_param.dropout_ratio
        self.require(0 <= self.ratio <= 1, f"dropout_ratio must be in [0, 1]; got {self.ratio}")
        if self.ratio == 1 and self.phase == schema.TRAIN:
            glog.warning(
                f"{self.name}: dropout_ratio 1 keeps nothing and divides it by 0; as in Caffe, "
                "every output in TRAIN is nan",
            )
        self.scale = random.dropout_scale(self.ratio)

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(bottom[0].shape)

    def _draw(self, values: torch.Tensor) -> torch.Tensor:
        """The mask: scale where kept, 0 where dropped; elements are drawn in C order."""
        if values.device.type == "cpu":
            kept = torch.from_numpy(random.dropout_mask(CONTEXT.stream, values.numel(), self.ratio))
            kept = kept.reshape(values.shape)
        else:
            kept = torch.rand(values.shape, device=values.device) >= self.ratio
        return kept.to(torch.float32).mul_(self.scale)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].computed
        if self.phase != schema.TRAIN:
            if top[0] is not bottom[0]:
                top[0].set_data(values.clone())
            return
        self._mask = self._draw(values)
        if top[0] is bottom[0]:
            values.mul_(self._mask)
        else:
            top[0].set_data((values * self._mask).to(values.dtype))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        above = top[0].computed_diff
        if self.phase != schema.TRAIN:
            bottom[0].set_diff(above.clone())
        else:
            bottom[0].set_diff((above * self._mask).to(above.dtype))
