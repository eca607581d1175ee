"""Caffe's semantics on PyTorch with pycaffe's interface: ``import tinynet.torchcaffe as caffe``.

If other modules say ``import caffe``, this line before them makes that import this engine::

    import tinynet.torchcaffe; tinynet.torchcaffe.install_as_caffe()
"""

from tinynet.torchcaffe.passive_waits import wait_passively

wait_passively()  # before torch is imported below: its OpenMP runtime reads the setting once

from tinynet.caffeformat.schema import load_installed
from tinynet.torchcaffe import extensions, proto
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.net import TEST, TRAIN
from tinynet.torchcaffe.pycaffe import _caffe, classifier, coord_map, detector, draw, io, net_spec
from tinynet.torchcaffe.pycaffe._caffe import *  # noqa: F403
from tinynet.torchcaffe.pycaffe._caffe import __version__
from tinynet.torchcaffe.pycaffe.as_caffe import install_as_caffe
from tinynet.torchcaffe.pycaffe.classifier import Classifier
from tinynet.torchcaffe.pycaffe.detector import Detector
from tinynet.torchcaffe.pycaffe.net_spec import NetSpec, layers, params, to_proto

__all__ = [
    "TEST",
    "TRAIN",
    "CaffeError",
    "Classifier",
    "Detector",
    "NetSpec",
    "__version__",
    "classifier",
    "coord_map",
    "detector",
    "draw",
    "extensions",
    "install_as_caffe",
    "io",
    "layers",
    "net_spec",
    "params",
    "proto",
    "to_proto",
]
__all__ += _caffe.__all__

# last, since such a package may import this one
load_installed()
