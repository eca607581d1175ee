"""Permute, Normalize and PriorBox of SSD."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.torchcaffe.outside.differentiated import DifferentiatedLayer
from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Permute")
class Permute(DifferentiatedLayer):
    """Axes in another order; axes that ``order`` leaves out follow in their original order."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        axes = len(bottom[0].shape)
        given = list(self.param.permute_param.order)
        self.require(
            len(set(given)) == len(given) and all(axis < axes for axis in given),
            f"order names axes below {axes}, each once; got {given}",
        )
        self.order = [*given, *(axis for axis in range(axes) if axis not in given)]

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(tuple(bottom[0].shape[axis] for axis in self.order))

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0].permute(self.order).contiguous()


@register("Normalize")
class Normalize(DifferentiatedLayer):
    """y = scale · x / √(Σx² + eps), the sum over channels, or over pixels as well."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self.param.norm_param
        self.axes = (1, 2, 3) if p.across_spatial else (1,)
        self.eps = p.eps
        self.require(len(bottom[0].shape) == 4, f"takes N×C×H×W; got {bottom[0].shape}")
        filler = p.scale_filler
        if not p.HasField("scale_filler"):
            filler.value = 1
        self.add_blob(() if p.channel_shared else (bottom[0].shape[1],), filler)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(bottom[0].shape)

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        images, scale = values
        norm = (images.square().sum(self.axes, keepdim=True) + self.eps).sqrt()
        return images / norm * scale.reshape(1, -1, 1, 1)


@register("PriorBox")
class PriorBox(Layer):
    """The default boxes of every cell of a feature map, and their variances: 1×2×(4·boxes).

    Bottoms: the feature map and the image, of which only sizes count.
    """

    num_bottom = (2, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self.param.prior_box_param
        self.require(len(p.min_size) > 0, "needs a min_size")
        self.require(
            len(p.max_size) in (0, len(p.min_size)), "needs as many max_size as min_size, or none"
        )
        ratios = [1.0]
        for ratio in p.aspect_ratio:
            if all(abs(ratio - known) > 1e-6 for known in ratios):
                ratios += [ratio, 1 / ratio] if p.flip else [ratio]
        self.extents: list[tuple[float, float]] = []  # width, height
        for i, least in enumerate(p.min_size):
            self.extents.append((least, least))
            if len(p.max_size):
                middle = math.sqrt(least * p.max_size[i])
                self.extents.append((middle, middle))
            self.extents += [
                (least * math.sqrt(r), least / math.sqrt(r)) for r in ratios if abs(r - 1) > 1e-6
            ]
        self.variances = list(p.variance) or [0.1]
        self.require(len(self.variances) in (1, 4), "takes one variance or four")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        cells = bottom[0].shape[2] * bottom[0].shape[3]
        top[0].resize((1, 2, 4 * cells * len(self.extents)))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        p = self.param.prior_box_param
        rows, columns = bottom[0].shape[2:]
        height, width = bottom[1].shape[2:]
        step_x, step_y = (p.step, p.step) if p.step else (width / columns, height / rows)
        y, x = np.meshgrid(
            (np.arange(rows) + p.offset) * step_y,
            (np.arange(columns) + p.offset) * step_x,
            indexing="ij",
        )
        boxes = np.empty((rows, columns, len(self.extents), 4))
        for i, (wide, high) in enumerate(self.extents):
            corners = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            boxes[:, :, i] = np.stack(corners, -1) / [width, height, width, height]
        if p.clip:
            boxes = boxes.clip(0, 1)
        variances = np.broadcast_to(self.variances, boxes.shape)
        made = np.stack([boxes.ravel(), variances.ravel()])[None].astype(np.float32)
        top[0].set_data(torch.from_numpy(made).to(bottom[0].tensor.device))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        for blob, asked in zip(bottom, propagate_down):
            if asked:  # nothing depends on the values
                blob.set_diff(torch.zeros_like(blob.tensor))
