"""Convolution and Deconvolution in the faster memory order, and Convolution by fewer products.

The algorithm depends on shapes, device and the processor's vectors alone, so that the same net
always rounds the same way on one machine.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.acceleration import stands_in_for
from tinynet.torchcaffe.convolution_layer import ConvolutionLayer
from tinynet.torchcaffe.fast import winograd, winograd_rows
from tinynet.torchcaffe.fast.memory_order import preferred
from tinynet.torchcaffe.layer import Blobs
from tinynet.torchcaffe.layer_types.convolution import Convolution
from tinynet.torchcaffe.layer_types.deconvolution import Deconvolution
from tinynet.torchcaffe.window_columns import Diffs


class _InPreferredOrder(ConvolutionLayer):
    def convolve(
        self, images: torch.Tensor, bias: torch.Tensor | None, out_shape: tuple[int, ...]
    ) -> torch.Tensor:
        if images.dim() == 4:
            # copies only what a script wrote: all other blobs have this order already
            images = images.contiguous(memory_format=preferred(images.device, self._float32))
        return super().convolve(images, bias, out_shape)


@stands_in_for(Deconvolution)
class OrderedDeconvolution(_InPreferredOrder, Deconvolution):
    pass


@stands_in_for(Convolution)
class FastConvolution(_InPreferredOrder, Convolution):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        window = self.window
        # an unpadded window at every position of the image
        self._dense = (
            self.spatial == 2
            and self.axis == 1
            and self.group == 1
            and not any(window.pad)
            and all(value == 1 for value in (*window.dilation, *window.stride))
        )
        self._small = self._dense and window.kernel == (3, 3)

    def convolve(
        self, images: torch.Tensor, bias: torch.Tensor | None, out_shape: tuple[int, ...]
    ) -> torch.Tensor:
        if self._small and winograd.suits(images, out_shape, backward=False):
            return winograd.forward(images, self.weights(), bias)
        if self._dense and winograd_rows.suits(images, out_shape, self.window.kernel):
            return winograd_rows.forward(images, self.weights(), bias)
        return super().convolve(images, bias, out_shape)

    def diffs(self, images: torch.Tensor, diff: torch.Tensor, down: bool) -> Diffs:
        learn = any(self.params_learn())
        if self._small and winograd.suits(images, tuple(diff.shape), backward=True):
            return winograd.backward(images, diff, self.weights(), down, learn)
        if self._dense and winograd_rows.suits(images, tuple(diff.shape), self.window.kernel):
            return winograd_rows.backward(images, diff, self.weights(), down, learn)
        return super().diffs(images, diff, down)
