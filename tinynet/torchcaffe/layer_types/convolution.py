"""Convolution (src/caffe/layers/conv_layer.cpp).

    output size = ⌊(H + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1

Weights are num_output × channels/group × kernel….
"""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.torchcaffe.convolution_layer import ConvolutionLayer
from tinynet.torchcaffe.layer import register


@register("Convolution")
class Convolution(ConvolutionLayer):
    transposed = False

    def weight_channels(self) -> tuple[int, int]:
        return self.num_output, self.channels // self.group

    def out_sizes(self, sizes: Sequence[int]) -> list[int]:
        return self.window.steps(sizes)
