"""Python: a layer that a user wrote (include/caffe/layers/python_layer.hpp, layer_factory.cpp)."""

from __future__ import annotations

import importlib
from typing import Any

from tinynet.caffeformat import schema
from tinynet.torchcaffe import python_layer, script_advice
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.vectors import RawBlobVec


@register("Python")
class Python(Layer):
    """Passes every call to an instance of the class that ``python_param`` names.

    Exceptions from that class's methods are not wrapped.
    """

    num_bottom = (0, None)
    num_top = (0, None)

    def __init__(self, param: schema.LayerParameter, phase: int) -> None:
        self.param = param  # so that ``require`` can name the layer if its class cannot be loaded
        self.written = self._load(param)
        self.written.param_str = self.written.param_str_ = param.python_param.param_str
        self.written.phase = phase
        super().__init__(param, phase, self.written.blobs)

    @property
    def for_scripts(self) -> python_layer.Layer:
        return self.written

    def _load(self, param: schema.LayerParameter) -> python_layer.Layer:
        module_name, class_name = param.python_param.module, param.python_param.layer
        where = f"layer '{class_name}' of module '{module_name}'"
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = error.name == module_name.split(".")[0]
            self.require(not missing, f"no module '{module_name}' on the module path (PYTHONPATH)")
            raise
        except SyntaxError as error:
            advice = script_advice.on_syntax(error)
            self.require(advice is None, str(advice))
            raise
        written: Any = getattr(module, class_name, None)
        self.require(written is not None, f"no {where} ({getattr(module, '__file__', '')})")
        self.require(
            isinstance(written, type) and issubclass(written, python_layer.Layer),
            f"{where} must be a subclass of tinynet.torchcaffe.Layer; if it is one of caffe.Layer, "
            "call tinynet.torchcaffe.install_as_caffe() before the first 'import caffe'",
        )
        return written(param)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.require(
            self.phase != schema.TRAIN or CONTEXT.solver_count == 1 or CONTEXT.multiprocess,
            "can train with several solvers only if each has its own process; then call "
            "set_multiprocess(True)",
        )
        self.written.setup(RawBlobVec(bottom, fixed=True), RawBlobVec(top, fixed=True))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        self.written.reshape(RawBlobVec(bottom, fixed=True), RawBlobVec(top, fixed=True))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self.written.forward(RawBlobVec(bottom, fixed=True), RawBlobVec(top, fixed=True))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.written.backward(
            RawBlobVec(top, fixed=True), propagate_down, RawBlobVec(bottom, fixed=True)
        )
