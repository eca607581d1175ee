"""DummyData: blobs from fillers (src/caffe/layers/dummy_data_layer.cpp).

Constant blobs are filled once, in set-up; all others are filled again at every forward.
"""

from __future__ import annotations

from typing import TypeVar

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import fillers
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, Layer, register

T = TypeVar("T")
_LEGACY = ("num", "channels", "height", "width")


@register("DummyData")
class DummyData(Layer):
    num_bottom = (0, 0)
    num_top = (1, None)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.dummy_data_param
        given = list(param.data_filler) or [schema.FillerParameter(type="constant")]
        self._fillers = self._per_top("data_filler", given, len(top))
        for above, filler, shape in zip(top, self._fillers, self._shapes(len(top))):
            above.resize(shape)
            if filler.type == "constant":
                self._fill(above, filler)

    def _shapes(self, tops: int) -> list[tuple[int, ...]]:
        param = self.param.dummy_data_param
        if not any(len(getattr(param, field)) for field in _LEGACY):
            return [tuple(shape.dim) for shape in self._per_top("shape", list(param.shape), tops)]
        self.require(not len(param.shape), f"give either shape or {', '.join(_LEGACY)}; not both")
        columns = [self._per_top(field, list(getattr(param, field)), tops) for field in _LEGACY]
        return list(zip(*columns))

    def _per_top(self, field: str, values: list[T], tops: int) -> list[T]:
        self.require(
            len(values) in (1, tops),
            f"{field} must be given once, or once per top; got {len(values)} for {tops} tops",
        )
        return values * tops if len(values) == 1 else values

    def _fill(self, blob: Blob, filler: schema.FillerParameter) -> None:
        values = fillers.fill(filler, blob.shape, CONTEXT.stream)
        blob.set_data(torch.from_numpy(values).to(blob.tensor.device))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """The shapes never change."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        for above, filler in zip(top, self._fillers):
            if filler.type != "constant":
                self._fill(above, filler)
