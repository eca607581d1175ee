"""LRN: local response normalization (src/caffe/layers/lrn_layer.cpp).

    s = k + α · W(x²)      y = x · s^−β      dx = g · s^−β − 2αβ · x · W(g · y / s)

W is the mean over a window of local_size channels (ACROSS_CHANNELS) or local_size × local_size
pixels (WITHIN_CHANNEL, where k is 1); values outside of the image count as 0.  The windows are
centred, so W is its own transpose.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, pad

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("LRN")
class LRN(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.lrn_param
        self.size, self.alpha, self.beta = param.local_size, param.alpha, param.beta
        self.across = param.norm_region == schema.LRNParameter.ACROSS_CHANNELS
        self.k = param.k if self.across else 1.0
        self.require(self.size % 2 == 1, f"local_size must be odd; got {self.size}")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(len(shape) == 4, f"bottom must have 4 axes (N, C, H, W); got shape {shape}")
        top[0].resize(shape)

    def _window_mean(self, values: torch.Tensor) -> torch.Tensor:
        reach = self.size // 2
        if not self.across:
            return avg_pool2d(values, self.size, 1, reach)
        channels = values.shape[1]
        padded = pad(values, (0, 0, 0, 0, reach, reach))
        total = padded[:, :channels].clone()
        for first in range(1, self.size):
            total += padded[:, first : first + channels]
        return total / self.size

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        self._scale = self._window_mean(values.square()).mul_(self.alpha).add_(self.k)
        top[0].set_data(values * self._scale.pow(-self.beta))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        # Across channels, Caffe ignores propagate_down, and scripts can see the diff.
        if not (self.across or propagate_down[0]):
            return
        above, scale = top[0].grad, self._scale
        spread = self._window_mean(above * top[0].tensor / scale)
        spread *= bottom[0].tensor
        bottom[0].set_diff(above * scale.pow(-self.beta) - 2 * self.alpha * self.beta * spread)
