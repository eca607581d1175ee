"""NeuronLayer: base of the layers that compute each element of the top from one of the bottom.

Source: Caffe's src/caffe/layers/neuron_layer.cpp.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes


class NeuronLayer(Layer):
    """One bottom, one top of its shape; a subclass adds ``forward`` and ``backward``."""

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(bottom[0].shape)
