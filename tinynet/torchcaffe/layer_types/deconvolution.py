"""Deconvolution: the transpose of Convolution (src/caffe/layers/deconv_layer.cpp).

    output size = stride · (H − 1) + (dilation·(kernel − 1) + 1) − 2·pad

Its forward is the backward of a Convolution with the same fields, and the other way around.
Weights are channels × num_output/group × kernel….  With the bilinear filler and one group per
channel it enlarges images.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.torchcaffe.convolution_layer import ConvolutionLayer
from tinynet.torchcaffe.layer import register


@register("Deconvolution")
class Deconvolution(ConvolutionLayer):
    transposed = True

    def weight_channels(self) -> tuple[int, int]:
        return self.channels, self.num_output // self.group

    def out_sizes(self, sizes: Sequence[int]) -> list[int]:
        return self.window.covered(sizes)
