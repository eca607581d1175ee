"""Convolution (src/caffe/layers/conv_layer.cpp).

    output size = ⌊(H + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1

Weights are num_output × channels/group × kernel….
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

from tinynet.torchcaffe import window_products
from tinynet.torchcaffe.convolution_layer import ConvolutionLayer
from tinynet.torchcaffe.layer import register
from tinynet.torchcaffe.window_columns import Diffs


@register("Convolution")
class Convolution(ConvolutionLayer):
    transposed = False

    def weight_channels(self) -> tuple[int, int]:
        return self.num_output, self.channels // self.group

    def out_sizes(self, sizes: Sequence[int]) -> list[int]:
        return self.window.steps(sizes)

    def diffs(self, images: torch.Tensor, diff: torch.Tensor, down: bool) -> Diffs:
        if not self._by_window_products(images):
            return super().diffs(images, diff, down)
        below_diff = self.plain_diffs(images, diff, [True, False, False])[0] if down else None
        down_pad, right_pad = self.window.pad
        if down_pad or right_pad:
            images = pad(images, (right_pad, right_pad, down_pad, down_pad))
        kernel, stride = self.window.kernel, self.window.stride
        return below_diff, *window_products.weight_and_bias_diff(images, diff, kernel, stride)

    def _by_window_products(self, images: torch.Tensor) -> bool:
        """Whether window_products.py computes the weights' gradient more exactly than PyTorch."""
        return (
            any(self.params_learn())
            and self._float32
            and self.spatial == 2
            and self.axis == 1
            and self.group == 1
            and all(value == 1 for value in self.window.dilation)
            and window_products.suits(images, self.window.kernel, any(self.window.pad))
        )
