"""PrefetchingLayer: base of the layers whose batches a thread makes from files of images.

Source: BasePrefetchingDataLayer, Caffe's src/caffe/layers/base_data_layer.cpp.
"""

from __future__ import annotations

import weakref
from typing import Any, Callable, Generic, Protocol, TypeVar

import numpy as np

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, Layer
from tinynet.torchcaffe.reading.prefetch import Prefetch
from tinynet.torchcaffe.reading.upload import upload

P = TypeVar("P")


class _Batch(Protocol):
    """Images and labels, and the position after them."""

    @property
    def data(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def after(self) -> Any: ...


class PrefetchingLayer(Layer, Generic[P]):
    """A subclass calls ``start_reading`` at the end of its setup.

    ``position``: where the next batch begins that is taken, by what ``P`` says of it.
    """

    num_bottom = (0, 0)
    num_top = (2, 2)
    position: P

    def start_reading(
        self, load: Callable[[], _Batch], shape: tuple[int, ...], position: P, top: Blobs
    ) -> None:
        """Let a thread ``load`` batches from ``position`` on, the first of this ``shape``."""
        top[0].resize(shape)
        top[1].resize(shape[:1])
        glog.info(f"output data size: {','.join(map(str, shape))}")
        self.position = position
        self._ahead = Prefetch(load, self.param.data_param.prefetch)
        # the thread lives as long as the layer, of which it knows nothing
        weakref.finalize(self, self._ahead.stop)
        self._ahead.start()

    def read_from(self, position: P, seek: Callable[[], None]) -> None:
        """Read on from another position, to which ``seek`` takes what the thread loads from."""
        self._ahead.stop()
        self.position = position
        seek()
        self._ahead.start()

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Each batch brings its own shape."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        batch = self._ahead.take()
        self.position = batch.after
        top[0].resize(batch.data.shape)
        top[0].set_data(upload(batch.data, CONTEXT.device))
        top[1].set_data(upload(batch.labels, CONTEXT.device))
