"""``install_as_caffe()``, after which ``import caffe`` means this engine."""

from __future__ import annotations

import importlib
import sys

from tinynet.torchcaffe.errors import CaffeError

_ENGINE = "tinynet.torchcaffe"
# pycaffe's modules (python/caffe/), and those of ours that have the same names in them
MODULES = {
    "caffe": _ENGINE,
    "caffe._caffe": f"{_ENGINE}.pycaffe._caffe",
    "caffe.classifier": f"{_ENGINE}.pycaffe.classifier",
    "caffe.coord_map": f"{_ENGINE}.pycaffe.coord_map",
    "caffe.detector": f"{_ENGINE}.pycaffe.detector",
    "caffe.draw": f"{_ENGINE}.pycaffe.draw",
    "caffe.io": f"{_ENGINE}.pycaffe.io",
    "caffe.net_spec": f"{_ENGINE}.pycaffe.net_spec",
    "caffe.proto": f"{_ENGINE}.proto",
    "caffe.proto.caffe_pb2": f"{_ENGINE}.proto.caffe_pb2",
    "caffe.pycaffe": f"{_ENGINE}.pycaffe",
}


def install_as_caffe() -> None:
    """Register the engine and its modules under pycaffe's names: ``caffe``, ``caffe.io``, ….

    Call it once per process, before the first ``import caffe``, in your script or in a module that
    imports others' pycaffe code; later calls change nothing.

    Raises CaffeError if another module named caffe, such as real Caffe, was imported before: a
    script must not mix the objects of two Caffes.
    """
    ours = importlib.import_module(_ENGINE)
    before = sys.modules.get("caffe")
    if before is not None and before is not ours:
        raise CaffeError(
            f"another caffe is already imported, from {getattr(before, '__file__', 'nowhere')}; "
            "call install_as_caffe() before the first 'import caffe'"
        )
    sys.modules.update((name, importlib.import_module(place)) for name, place in MODULES.items())
