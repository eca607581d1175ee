"""Net: executes a net's layers, and is pycaffe's ``caffe.Net`` to scripts.

Semantics: Caffe's ``src/caffe/net.cpp``, ``python/caffe/_caffe.cpp`` and ``pycaffe.py``.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import batches, forked_child, glog, net_files
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.debug_info import DebugInfo
from tinynet.torchcaffe.errors import (
    CaffeError,
    CaffeValueError,
    check,
    report_out_of_memory,
    require_file,
)
from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.layer_types.memory_data import MemoryData
from tinynet.torchcaffe.set_once import SetOnce
from tinynet.torchcaffe.snapshots import hdf5, weights
from tinynet.torchcaffe.vectors import BlobVec, DtypeVec, IntVec, LayerVec, StringVec

TRAIN: int = schema.TRAIN
TEST: int = schema.TEST

Callback = Callable[[int], None]


class Net:
    """A net in one phase.

    ``Net(model, phase, level=0, stages=None, weights=None)`` or, as older scripts write it,
    ``Net(model, weights, phase)``: ``model`` is the path of a prototxt, ``phase`` is TRAIN or TEST,
    ``weights`` the path of a .caffemodel to start from.  Raises CaffeError where Caffe aborts.
    """

    # what scripts see; for a layer written in Python, the user's own object
    layers = SetOnce[LayerVec]()
    blobs = SetOnce["OrderedDict[str, Blob]"]()
    blob_loss_weights = SetOnce["OrderedDict[str, float]"]()
    layer_dict = SetOnce["OrderedDict[str, Any]"]()
    params = SetOnce["OrderedDict[str, BlobVec]"]()
    inputs = SetOnce[list[str]]()
    outputs = SetOnce[list[str]]()
    top_names = SetOnce["OrderedDict[str, list[str]]"]()
    bottom_names = SetOnce["OrderedDict[str, list[str]]"]()

    def __init__(
        self,
        network_file: str | Path,
        *positional: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: str | Path | None = None,
    ) -> None:
        old_form = bool(positional) and isinstance(positional[0], (str, os.PathLike))
        names = ("weights", "phase") if old_form else ("phase", "level", "stages", "weights")
        if len(positional) > len(names):
            raise TypeError(f"Net takes a model, {', '.join(names)}, and no more arguments")
        given = dict(zip(names, positional))
        phase = given.get("phase", phase)
        if old_form:
            glog.warning(
                "DEPRECATION WARNING - Net(model, weights, phase) is deprecated; write "
                f"Net('{network_file}', {phase}, weights='{positional[0]}')",
            )
        level = given.get("level", level)
        stages = given.get("stages", stages)
        weights = given.get("weights", weights)
        if phase is None:
            raise TypeError("Net: phase is missing; give caffe.TRAIN or caffe.TEST")
        param = net_files.read_prototxt(network_file)
        param.state.phase = phase
        param.state.level = level
        param.state.stage.extend(stages or ())
        with net_files.locate_errors(network_file):
            self._init(param)
        if weights is not None:
            self.copy_from(weights)

    @classmethod
    def from_param(cls, param: schema.NetParameter) -> Net:
        """Make a net from an up-to-date NetParameter whose ``state`` is complete.

        A CaffeError raised here names only the layer; ``net_files.locate_errors`` adds the file.
        """
        net = cls.__new__(cls)
        net._init(param)
        return net

    def _init(self, param: schema.NetParameter) -> None:
        forked_child.note_computation()
        self._have_run: set[int] = set()  # the layers whose forward has been called
        self._is_slow = CONTEXT.device.type == "cpu"  # until a warning has said so
        self._graph = graph = NetGraph(param)
        self.name = graph.name
        self.phase = graph.phase
        self.layers = LayerVec([layer.for_scripts for layer in graph.layers], fixed=True)
        self.blobs = OrderedDict(zip(graph.blob_names, graph.blobs))
        self.blob_loss_weights = OrderedDict(zip(graph.blob_names, graph.blob_loss_weights))
        self.layer_dict = OrderedDict(zip(graph.layer_names, self.layers))
        self.params = OrderedDict(
            (name, layer.blobs)
            for name, layer in zip(graph.layer_names, graph.layers)
            if layer.blobs
        )
        self.inputs = self._input_list = [graph.blob_names[i] for i in graph.input_ids]
        self.outputs = self._output_list = [graph.blob_names[i] for i in graph.output_ids]
        self.top_names = self._names_of(graph.top_ids)
        self.bottom_names = self._names_of(graph.bottom_ids)
        self._before_forward: list[Callback] = []
        self._after_forward: list[Callback] = []
        self._before_backward: list[Callback] = []
        self._after_backward: list[Callback] = []
        self.debug_info: DebugInfo | None = None
        if param.debug_info:
            self.enable_debug_info()

    @property
    def graph(self) -> NetGraph:
        """The layers, the blobs and how they are connected."""
        return self._graph

    # private names of pycaffe's that scripts use nevertheless

    @property
    def _layer_names(self) -> StringVec:
        return StringVec([*self._graph.layer_names])

    @property
    def _blob_names(self) -> StringVec:
        return StringVec([*self._graph.blob_names])

    @property
    def _blobs(self) -> BlobVec:
        return BlobVec(self._graph.blobs, fixed=True)

    @property
    def _blob_loss_weights(self) -> DtypeVec:
        return DtypeVec(self._graph.blob_loss_weights, fixed=True)

    @property
    def _inputs(self) -> IntVec:
        return IntVec([*self._graph.input_ids])

    @property
    def _outputs(self) -> IntVec:
        return IntVec([*self._graph.output_ids])

    def _top_ids(self, layer: int) -> IntVec:
        return IntVec([*self._graph.top_ids[layer]])

    def _bottom_ids(self, layer: int) -> IntVec:
        return IntVec([*self._graph.bottom_ids[layer]])

    def _batch(self, blobs: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        return batches.split(self, blobs)

    def _set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        if labels.ndim != 4:
            raise CaffeError(f"the labels array must have 4 axes; got {labels.ndim}")
        self.set_input_arrays(data, labels)

    def _names_of(self, ids: list[list[int]]) -> OrderedDict[str, list[str]]:
        names = self._graph.blob_names
        return OrderedDict(
            (layer, [names[i] for i in row]) for layer, row in zip(self._graph.layer_names, ids)
        )

    # --- what the solver uses

    @property
    def learnable_params(self) -> list[Blob]:
        """The distinct parameter blobs; a shared one appears once."""
        return self._graph.learnable_params

    @property
    def params_lr(self) -> list[float]:
        return self._graph.params_lr

    @property
    def params_decay(self) -> list[float]:
        return self._graph.params_decay

    @property
    def output_blobs(self) -> list[tuple[str, Blob, float]]:
        """(name, blob, loss weight) of each output, sorted by name as Caffe sorts them."""
        graph = self._graph
        return [
            (graph.blob_names[i], graph.blobs[i], graph.blob_loss_weights[i])
            for i in graph.output_ids
        ]

    @property
    def has_callbacks(self) -> bool:
        """Whether a callback runs between two layers."""
        return bool(
            self._before_forward
            or self._after_forward
            or self._before_backward
            or self._after_backward
        )

    def enable_debug_info(self) -> None:
        """Log what each layer computes from now on, while ``debug_info.enabled``."""
        self.debug_info = DebugInfo(self.graph)
        self.after_forward(self.debug_info.forward)
        self.after_backward(self.debug_info.backward)

    @torch.no_grad()
    def run_forward(self, start: int = 0, end: int | None = None) -> torch.Tensor:
        """Run layers ``start`` … ``end`` (inclusive); return the loss as a 0-d tensor.

        The loss stays on the net's device, so that training does not wait for it.
        """
        if self._is_slow and CONTEXT.gpu:
            self._is_slow = False
            glog.warning(
                f"net '{self.name}' was made in CPU mode and stays on the CPU: call "
                "caffe.set_mode_gpu() before the net or solver is made"
            )
        steps = self._graph.steps
        check(len(steps) > 0, f"net '{self.name}' has no layers; is its prototxt empty?")
        stop = len(steps) if end is None else end + 1
        before, after = self._before_forward, self._after_forward
        loss = None  # a zero would be copied to the GPU first, and waited for
        with report_out_of_memory() as report:
            for i, (report.layer, layer, bottom, top) in enumerate(steps[start:stop], start):
                for callback in before:
                    callback(i)
                layer.reshape_where_needed(bottom, top)
                layer.forward(bottom, top)
                self._have_run.add(i)
                part = layer.loss(top)
                if part is not None:
                    loss = part if loss is None else loss + part
                for callback in after:
                    callback(i)
        return torch.zeros(()) if loss is None else loss

    @torch.no_grad()
    def run_backward(self, start: int | None = None, end: int = 0) -> None:
        """Run the backward computation of layers ``start`` down to ``end`` (inclusive)."""
        graph = self._graph
        needed, propagate_down = graph.layer_need_backward, graph.bottom_need_backward
        last = len(graph.steps) - 1 if start is None else start
        with report_out_of_memory() as report:
            for i in range(last, end - 1, -1):
                for callback in self._before_backward:
                    callback(i)
                if needed[i]:
                    report.layer, layer, bottom, top = graph.steps[i]
                    try:
                        layer.backward(top, propagate_down[i], bottom)
                    except AttributeError as error:  # what its forward would have kept
                        if i in self._have_run:
                            raise
                        raise CaffeError(
                            f"{layer.type} layer {layer.name}: backward needs a forward before it"
                        ) from error
                for callback in self._after_backward:
                    callback(i)

    # --- pycaffe's interface: running

    def _index(self, layer: str) -> int:
        names = self._graph.layer_names
        if layer not in names:
            raise CaffeValueError(
                f"net '{self.name}' has no layer '{layer}'; it has {', '.join(names)}"
            )
        return names.index(layer)

    def _forward(self, start: int, end: int) -> float:
        return float(self.run_forward(start, end))

    def _backward(self, start: int, end: int) -> None:
        self.run_backward(start, end)

    def forward(
        self,
        blobs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Copy in the ``inputs``, by blob name, run forward and return the outputs' data.

        ``start`` and ``end`` name the first and the last layer to run; ``blobs`` names other blobs
        whose data to return as well.
        """
        first = 0 if start is None else self._index(start)
        last = len(self.layers) - 1 if end is None else self._index(end)
        outputs = set(self.outputs if end is None else self.top_names[end]) | set(blobs or ())
        if inputs:
            self._set_all(inputs, self.inputs, "data", "input")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in outputs}

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **outputs: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Copy in the diffs of ``outputs``, by name, run backward and return the inputs' diffs.

        ``start`` and ``end`` name the first (uppermost) and the last layer to run; ``diffs`` names
        other blobs whose diff to return as well.
        """
        first = len(self.layers) - 1 if start is None else self._index(start)
        last = 0 if end is None else self._index(end)
        wanted = set(self.inputs if end is None else self.bottom_names[end]) | set(diffs or ())
        if outputs:
            self._set_all(outputs, self.outputs, "diff", "output")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def _set_all(
        self, arrays: dict[str, np.ndarray], names: list[str], part: str, what: str
    ) -> None:
        _require_names(arrays, names, what)
        for name, array in arrays.items():
            blob = self.blobs[name]
            if array.shape[0] != blob.shape[0]:
                raise CaffeError(
                    f"{what} '{name}' is not batch sized: the blob has {blob.shape[0]}, "
                    f"the array {array.shape[0]}"
                )
            getattr(blob, part)[...] = array

    def forward_all(
        self, blobs: Sequence[str] | None = None, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Run ``inputs`` of any length through the net in batches and return all outputs."""
        _require_names(inputs, self.inputs, "input")
        if not inputs:
            raise CaffeError("forward_all: the net has no inputs to give batches of; use forward")
        return batches.run(self, arrays=inputs, blobs=blobs or ())[0]

    def forward_backward_all(
        self,
        blobs: Sequence[str] | None = None,
        diffs: Sequence[str] | None = None,
        **arrays: np.ndarray,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Run forward and backward in batches.

        ``arrays`` gives data by the name of an input and diffs by the name of an output.
        """
        return batches.run(self, arrays=arrays, blobs=blobs or (), diffs=diffs or ())

    def reshape(self) -> None:
        """Let each layer reshape its tops, after an input blob was reshaped."""
        for layer, bottom, top in zip(self._graph.layers, self._graph.bottoms, self._graph.tops):
            layer.reshape(bottom, top)

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Give the net's first layer, a MemoryData layer, its data (``MemoryData.set_arrays``)."""
        first = self.layers[0] if len(self.layers) else None
        if not isinstance(first, MemoryData):
            raise CaffeError("set_input_arrays needs a net whose first layer is a MemoryData layer")
        first.set_arrays(data, labels)

    def clear_param_diffs(self) -> None:
        for blob in self.learnable_params:
            blob.clear_diff()

    def before_forward(self, callback: Callback) -> None:
        """Call ``callback(layer_index)`` before each layer's forward."""
        self._before_forward.append(callback)

    def after_forward(self, callback: Callback) -> None:
        self._after_forward.append(callback)

    def before_backward(self, callback: Callback) -> None:
        self._before_backward.append(callback)

    def after_backward(self, callback: Callback) -> None:
        self._after_backward.append(callback)

    # --- pycaffe's interface: weights

    def save(self, path: str | Path) -> None:
        """Write the net with its weights as a .caffemodel."""
        weights.save(self.graph, path)

    def save_hdf5(self, path: str | Path) -> None:
        """Write the weights as HDF5. Raises CaffeError if h5py is not installed."""
        hdf5.save_weights(self.graph, path)

    def copy_from(self, path: str | Path) -> None:
        """Load weights by layer name from a .caffemodel or an HDF5 file.

        Layers that only the file has are ignored.  Raises CaffeError for a file of another format
        and where shapes differ.
        """
        require_file(path)
        weights.load(self.graph, path)

    def load_hdf5(self, path: str | Path) -> None:
        """Load weights by layer name from an HDF5 file, as ``copy_from`` does."""
        require_file(path)
        hdf5.load_weights(self.graph, path)

    def share_with(self, other: Net) -> None:
        """Share the parameters of ``other``, matched by layer name, without copying them."""
        weights.share(self.graph, other.graph)


def _require_names(arrays: dict[str, np.ndarray], names: list[str], what: str) -> None:
    if set(arrays) != set(names):
        raise CaffeError(
            f"{what} blobs do not match: the net's are {', '.join(names) or 'none'}; "
            f"got {', '.join(arrays) or 'none'}"
        )
