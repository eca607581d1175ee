"""ReLU6, DepthwiseConvolution, ShuffleChannel, Axpy and Interp: what mobile and SE nets add."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate, pad

from tests.torchcaffe.outside.differentiated import DifferentiatedLayer
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.layer_types.convolution import Convolution


@register("ReLU6")
class ReLU6(DifferentiatedLayer):
    """min(max(x, 0), 6)."""

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(bottom[0].shape)

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0].clamp(0, 6)


@register("DepthwiseConvolution")
class DepthwiseConvolution(Convolution):
    """A Convolution with a group for every channel, whatever ``group`` says."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.param.convolution_param.group = bottom[0].shape[1]
        super().setup(bottom, top)


@register("ShuffleChannel")
class ShuffleChannel(DifferentiatedLayer):
    """Channels g·k + i become i·group + g: each group gives to each."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.group = self.param.shuffle_channel_param.group
        channels = bottom[0].shape[1]
        self.require(
            self.group > 0 and channels % self.group == 0,
            f"group {self.group} does not divide {channels} channels",
        )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(bottom[0].shape)

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        n, channels, *rest = values[0].shape
        groups = values[0].reshape(n, self.group, channels // self.group, *rest)
        return groups.transpose(1, 2).reshape(values[0].shape)


@register("Axpy")
class Axpy(DifferentiatedLayer):
    """a · x + y: a of N×C, or N×C×1×1, spread over the pixels of x and y."""

    num_bottom = (3, 3)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        self.require(
            bottom[0].shape[:2] == bottom[1].shape[:2] and bottom[1].shape == bottom[2].shape,
            f"takes N×C, N×C×H×W and the same; got {[blob.shape for blob in bottom]}",
        )
        top[0].resize(bottom[1].shape)

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        scale, x, y = values
        return scale.reshape(*x.shape[:2], 1, 1) * x + y


@register("Interp")
class Interp(DifferentiatedLayer):
    """Bilinear, corners on corners: to a height and width, or by a zoom and a shrink factor."""

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        p = self.param.interp_param
        self.require(p.pad_beg <= 0 and p.pad_end <= 0, "only cuts: pad_beg and pad_end are ≤ 0")
        self.cut = (p.pad_beg, p.pad_end, p.pad_beg, p.pad_end)
        sizes = [size + p.pad_beg + p.pad_end for size in bottom[0].shape[2:]]
        if p.shrink_factor > 1:
            sizes = [(size - 1) // p.shrink_factor + 1 for size in sizes]
        if p.zoom_factor > 1:
            sizes = [size + (size - 1) * (p.zoom_factor - 1) for size in sizes]
        if p.height and p.width:
            sizes = [p.height, p.width]
        self.sizes = sizes
        top[0].resize((*bottom[0].shape[:2], *sizes))

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        images = pad(values[0], self.cut)
        return interpolate(images, self.sizes, mode="bilinear", align_corners=True)
