"""Silence: reads blobs that no other layer reads (src/caffe/layers/silence_layer.cpp)."""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Silence")
class Silence(Layer):
    num_bottom = (1, None)
    num_top = (0, 0)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """There is no top."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        """There is nothing to compute."""

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        for below, down in zip(bottom, propagate_down):
            if down:
                below.set_diff(torch.zeros_like(below.tensor))
