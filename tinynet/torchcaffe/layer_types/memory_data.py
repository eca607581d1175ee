"""MemoryData: batches from a script's own arrays (src/caffe/layers/memory_data_layer.cpp).

``Net.set_input_arrays`` sets the arrays.  Each forward takes the next batch from them, and starts
over at their end.  As in Caffe the blobs show the arrays themselves, without any transformation.
"""

from __future__ import annotations

import numpy as np
import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.random_numbers import random
from tinynet.torchcaffe.reading.data_transformer import needs_random


@register("MemoryData")
class MemoryData(Layer):
    num_bottom = (0, 0)
    num_top = (2, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        # Caffe seeds the transformer, though scripts cannot use it: so this draws as well
        random.transformer(CONTEXT.stream, needs_random(self.param.transform_param, self.phase))
        param = self.param.memory_data_param
        self.batch_size = param.batch_size
        self.image_shape = (param.channels, param.height, param.width)
        self.require(
            min(self.batch_size, *self.image_shape) > 0,
            "batch_size, channels, height and width must be given and positive; got "
            f"{self.batch_size}, {', '.join(map(str, self.image_shape))}",
        )
        top[0].resize((self.batch_size, *self.image_shape))
        top[1].resize((self.batch_size,))
        self._data: np.ndarray | None = None
        self._labels: np.ndarray | None = None
        self._position = 0

    def set_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Take batches from ``data``, N×C×H×W, and ``labels``, N or N×1×1×1; both float32.

        N must be a multiple of batch_size.  The arrays are not copied, so they must be contiguous.
        Raises CaffeError where pycaffe raises RuntimeError.
        """
        if labels.ndim == 1:
            labels = np.ascontiguousarray(labels[:, None, None, None])
        for name, array, shape in (
            ("data", data, self.image_shape),
            ("labels", labels, (1, 1, 1)),
        ):
            self.require(
                array.dtype == np.float32 and array.flags.c_contiguous,
                f"the {name} array must be float32 and C contiguous; got {array.dtype}",
            )
            self.require(
                array.shape[1:] == shape,
                f"the {name} array must have shape (N, {', '.join(map(str, shape))}); "
                f"got {array.shape}",
            )
        self.require(
            len(data) == len(labels),
            f"data and labels must have the same first dimension; got {len(data)} and "
            f"{len(labels)}",
        )
        self.require(
            len(data) > 0 and len(data) % self.batch_size == 0,
            f"the number of images must be a multiple of batch_size, {self.batch_size}; "
            f"got {len(data)}",
        )
        if self.param.HasField("transform_param"):
            glog.warning("MemoryData does not transform array data")
        self._data, self._labels, self._position = data, labels, 0

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """The shapes never change."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if self._data is None or self._labels is None:
            self.require(False, "has no data yet: call net.set_input_arrays(data, labels)")
            return
        batch = slice(self._position, self._position + self.batch_size)
        top[0].resize((self.batch_size, *self.image_shape))
        top[0].show_data(torch.from_numpy(self._data[batch]).to(self.device))
        top[1].resize((self.batch_size, 1, 1, 1))
        top[1].show_data(torch.from_numpy(self._labels[batch]).to(self.device))
        self._position = (self._position + self.batch_size) % len(self._data)
