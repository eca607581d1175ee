"""``caffe.Layer``: the base class of layers that a user writes in Python.

A prototxt names such a class:

    layer { name: "loss" type: "Python" bottom: "score" bottom: "label" top: "loss" loss_weight: 1
            python_param { module: "my_layers" layer: "MyLoss" param_str: "margin=1" } }

Its methods use the blobs' interface for scripts (``bottom[0].data[...]``, ``top[0].diff``,
``top[0].reshape(2, 3)``).  The layer type that calls them is ``layer_types/python.py``.
Behaviour: ``include/caffe/layers/python_layer.hpp``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.caffeformat import schema
from tinynet.torchcaffe import layer
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.set_once import SetOnce
from tinynet.torchcaffe.vectors import BlobVec


class _EveryLayer(type):
    """In pycaffe every layer of a net is a ``caffe.Layer``, also those that Caffe itself has."""

    def __instancecheck__(cls, instance: object) -> bool:
        if cls is Layer and isinstance(instance, layer.Layer):
            return True
        return super().__instancecheck__(instance)


class Layer(metaclass=_EveryLayer):
    """Base of users' layers; it has ``param_str``, ``phase``, and ``blobs`` for parameters."""

    type = "Python"
    param_str: str = ""
    param_str_: str = ""  # its name in 2015, which py-faster-rcnn's layers use
    phase: int = 0
    blobs = SetOnce[BlobVec]()

    def __init__(self, param: schema.LayerParameter) -> None:
        self.blobs = BlobVec()

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Prepare the layer; called once, when the net is made."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give every top its shape; called before each forward."""
        raise NotImplementedError(f"{type(self).__name__} must define reshape(bottom, top)")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Compute the tops' data."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(bottom, top)")

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        """Compute the bottoms' diffs where ``propagate_down`` asks, and the parameters' diffs."""
        raise NotImplementedError(
            f"{type(self).__name__} must define backward(top, propagate_down, bottom)"
        )
