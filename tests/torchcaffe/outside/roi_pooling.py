"""ROIPooling of Fast R-CNN: the maximum over each cell of a grid laid over a region.

The second bottom has a row for each region: image, x1, y1, x2, y2 in the image's own pixels.
"""

from __future__ import annotations

import torch

from tests.torchcaffe.outside.differentiated import DifferentiatedLayer
from tinynet.torchcaffe.layer import Blobs, register


@register("ROIPooling")
class ROIPooling(DifferentiatedLayer):
    num_bottom = (2, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self.param.roi_pooling_param
        self.rows, self.columns, self.scale = p.pooled_h, p.pooled_w, p.spatial_scale
        self.require(self.rows > 0 and self.columns > 0, "pooled_h and pooled_w must be > 0")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        self.require(bottom[1].shape[1:] == (5,), f"a region has 5 values; got {bottom[1].shape}")
        top[0].resize((bottom[1].shape[0], bottom[0].shape[1], self.rows, self.columns))

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        features, regions = values
        return torch.stack([self._pool(features, region) for region in regions.tolist()])

    def _pool(self, features: torch.Tensor, region: list[float]) -> torch.Tensor:
        _, channels, height, width = features.shape
        image = features[int(region[0])]
        # half away from zero, as C's round
        left, top, right, bottom = (int(value * self.scale + 0.5) for value in region[1:])
        rows = _cells(top, bottom, self.rows, height)
        columns = _cells(left, right, self.columns, width)
        found = [
            image[:, a:b, c:d].amax((1, 2)) if a < b and c < d else image.new_zeros(channels)
            for a, b in rows
            for c, d in columns
        ]
        return torch.stack(found, 1).reshape(channels, self.rows, self.columns)


def _cells(start: int, end: int, count: int, size: int) -> list[tuple[int, int]]:
    """Where each of ``count`` cells between two pixels, both counted, begins and ends."""
    length = max(end - start + 1, 1)
    cells = []
    for i in range(count):
        first = start + i * length // count
        last = start - (-(i + 1) * length // count)
        cells.append((min(max(first, 0), size), min(max(last, 0), size)))
    return cells
