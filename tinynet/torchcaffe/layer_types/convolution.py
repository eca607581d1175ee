"""Convolution (src/caffe/layers/conv_layer.cpp).

    output size = ⌊(H + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1

Weights are num_output × channels/group × kernel….
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

from tinynet.torchcaffe.convolution import window_products, winograd, winograd_rows
from tinynet.torchcaffe.convolution_layer import ConvolutionLayer, Diffs
from tinynet.torchcaffe.layer import Blobs, register


@register("Convolution")
class Convolution(ConvolutionLayer):
    transposed = False

    def weight_channels(self) -> tuple[int, int]:
        return self.num_output, self.channels // self.group

    def out_sizes(self, sizes: Sequence[int]) -> list[int]:
        return self.window.steps(sizes)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        window = self.window
        # a convolution whose windows are blocks of the padded image
        self._blocks = (
            self.spatial == 2
            and self.axis == 1
            and self.group == 1
            and all(value == 1 for value in window.dilation)
        )
        # one that begins at every pixel of the image itself
        self._dense = self._blocks and not any(window.pad) and window.stride == [1, 1]
        self._small = self._dense and window.kernel == [3, 3]

    def convolve(
        self, images: torch.Tensor, bias: torch.Tensor | None, out_shape: tuple[int, ...]
    ) -> torch.Tensor:
        if self._small and winograd.suits(images, out_shape, backward=False):
            return winograd.forward(images, self.weights(), bias)
        if self._dense and winograd_rows.suits(images, out_shape, self.window.kernel):
            return winograd_rows.forward(images, self.weights(), bias)
        return super().convolve(images, bias, out_shape)

    def diffs(self, images: torch.Tensor, diff: torch.Tensor, down: bool) -> Diffs:
        kernel, padding = self.window.kernel, self.window.pad
        learn = any(self.params_learn())
        if self._small and winograd.suits(images, tuple(diff.shape), backward=True):
            return winograd.backward(images, diff, self.weights(), down, learn)
        if self._dense and winograd_rows.suits(images, tuple(diff.shape), kernel):
            return winograd_rows.backward(images, diff, self.weights(), down, learn)
        if (
            learn
            and self._blocks
            and self._float32
            and window_products.suits(images, kernel, any(padding))
        ):
            below_diff = self.plain_diffs(images, diff, [True, False, False])[0] if down else None
            if any(padding):
                images = pad(images, (padding[1], padding[1], padding[0], padding[0]))
            return below_diff, *window_products.weight_and_bias_diff(
                images, diff, kernel, self.window.stride
            )
        return super().diffs(images, diff, down)
