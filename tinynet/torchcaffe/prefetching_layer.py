"""PrefetchingLayer: base of the layers whose batches a thread reads ahead.

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
    """Images, labels and the position after them."""

    @property
    def data(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def after(self) -> Any: ...


class PrefetchingLayer(Layer, Generic[P]):
    """A subclass calls ``start_reading`` at the end of its setup.

    ``position``, a ``P``, is where the batch that ``forward`` takes next begins.
    """

    num_bottom = (0, 0)
    num_top = (2, 2)
    position: P

    def start_reading(
        self, load: Callable[[], _Batch], shape: tuple[int, ...], position: P, top: Blobs
    ) -> None:
        """Start a thread that calls ``load``; the first batch has ``shape``, from ``position``."""
        top[0].resize(shape)
        top[1].resize(shape[:1])
        glog.info(f"output data size: {','.join(map(str, shape))}")
        self.position = position
        self._ahead = Prefetch(load, self.param.data_param.prefetch)
        # the thread has no reference to the layer, and ends with it
        weakref.finalize(self, self._ahead.stop)
        self._ahead.start()

    def read_from(self, position: P, seek: Callable[[], None]) -> None:
        """Continue from another position; ``seek`` moves the thread's source there."""
        self._ahead.stop()
        self.position = position
        seek()
        self._ahead.start()

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Do nothing: ``forward`` sets the shapes of each batch."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        batch = self._ahead.take()
        self.position = batch.after
        top[0].resize(batch.data.shape)
        top[0].set_data(upload(batch.data, CONTEXT.device))
        top[1].set_data(upload(batch.labels, CONTEXT.device))
