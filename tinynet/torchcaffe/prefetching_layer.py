"""PrefetchingLayer: base of the layers whose batches a thread reads ahead (reading/reader.py).

Source: BasePrefetchingDataLayer, Caffe's src/caffe/layers/base_data_layer.cpp.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.layer import Blobs, Layer
from tinynet.torchcaffe.reading.reader import Batch, Reader
from tinynet.torchcaffe.reading.upload import upload


class PrefetchingLayer(Layer):
    """Its tops are the data and the labels of each batch.

    A subclass calls ``start_reading`` at the end of its setup.
    """

    num_bottom = (0, 0)
    num_top = (2, 2)
    reader: Reader[Any]

    def start_reading(self, reader: Reader[Any], top: Blobs) -> None:
        """Take the batches from ``reader``, and start its thread."""
        self.reader = reader
        try:
            shape = reader.shape()
        except BaseException:
            reader.close()
            raise
        reader.start()
        # the thread must end with the layer, to which the reader has no reference
        weakref.finalize(self, reader.abandon).atexit = False
        top[0].resize(shape)
        glog.info(f"output data size: {','.join(map(str, shape))}")
        if len(top) > 1:
            top[1].resize(shape[:1])

    def next_batch(self) -> Batch[Any]:
        """Take the batch of the next forward; wait for the reader if it is behind."""
        return self.reader.next_batch()

    def upload_batch(self, batch: Batch[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """The data and labels of a batch on the layer's device."""
        return upload(batch.data, self.device), upload(batch.labels, self.device)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Every batch has its own shape, which ``forward`` sets."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        data, labels = self.upload_batch(self.next_batch())
        top[0].resize(tuple(data.shape))
        top[0].set_data(data)
        if len(top) > 1:
            top[1].set_data(labels)
