"""Passes through a net that a GPU records once and then repeats, where net and batch are static.

A subclass says what is recorded; this module has what every recording of a net needs.  The layers
must ask the device for the same work whatever the values are.  The batches are taken ahead, as
plans of which images are cut where, and their plans lie in memory that does not move.  Parameters
and blobs stay where they were; what a script has written into them is copied there first.

A recording is used only if it is right: before the first repetition the work is done both ways, and
everything that it leaves must be equal to the bit.  If it is not, if torch cannot record it, or if
a layer or a batch does not allow it, the plain path remains, and one line of the log says why.

A recording is valid as long as its key stays the same.  When the key changes, the work is done
plainly, and then recorded again.  ``TINYNET_CUDA_GRAPHS=0`` switches all this off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob, Part, parts_of, shape_of
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import first_line
from tinynet.torchcaffe.fast import graphs
from tinynet.torchcaffe.fast.device_data import DeviceData
from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.reading.upload import staged

VARIABLE = "TINYNET_CUDA_GRAPHS"
# layers whose passes ask the device for the same work whatever the values are, without reading any
_STATIC = {
    *("Accuracy", "Concat", "Convolution", "Data", "Dropout", "Eltwise", "Flatten", "InnerProduct"),
    *("Input", "LRN", "Pooling", "ReLU", "Scale", "Sigmoid", "Silence", "Softmax"),
    *("SoftmaxWithLoss", "Split", "TanH"),
}
MOST_CHANGES = 20  # of the key: more recordings would take longer than they save
PLAIN_FIRST = 2  # plain passes before a recording, in which libraries choose their algorithms


def enabled() -> bool:
    """Whether the environment leaves recording on."""
    return os.environ.get(VARIABLE, "1") != "0"


def unrecordable(net: Net) -> str:
    """Why the work of a net's layers cannot be recorded; "" if it can."""
    for layer in net.graph.layers:
        ours = type(layer).__module__.startswith("tinynet.torchcaffe.")
        if layer.type not in _STATIC or not ours:
            return f"layer {layer.name} is of type {layer.type}, whose work may change"
        if layer.type == "Data" and not (isinstance(layer, DeviceData) and layer.holds_all_images):
            return f"the images of layer {layer.name} do not stay on the device"
        if isinstance(layer, Pooling) and layer.method == schema.PoolingParameter.STOCHASTIC:
            return f"layer {layer.name} draws what it pools"
    return ""


def parameters_of(net: Net) -> list[Blob]:
    """The parameters of all layers, as the layers have them."""
    return [blob for layer in net.graph.layers for blob in layer.blobs]


class RecordedPasses:
    """The recordings of one net's passes; ``refused`` says why there are none.

    A subclass defines what is recorded, by ``work``, and how it is checked, by ``compare``.
    """

    #: the log's name for what is repeated
    what: ClassVar[str]

    def __init__(self, net: Net, device: torch.device) -> None:
        self.net = net
        self.graphs = graphs.BY_DEVICE[device.type](device)
        self.refused = ""
        self.recorded = 0  # number of recordings
        self.repeated = False  # whether the last passes were repeated
        self._unrecordable: str | None = None  # what ``unrecordable`` said of the layers
        self._done = 0  # plain passes since the key last changed
        self._changes = -1  # of the key; setting the first one does not count
        self._key: Any = None
        self.repeat: Callable[[], object] | None = None
        self.loss: torch.Tensor | None = None
        # the plans of each layer's batches, in memory that does not move
        self._values: list[tuple[DeviceData, list[torch.Tensor]]] = []
        # parts of blobs, and their memory, by what the recorded passes do with it
        self._made: list[tuple[Part, torch.Tensor]] = []  # new memory of the recording's own
        self._filled: list[tuple[Part, torch.Tensor]] = []  # a script's view, overwritten in place
        self._kept: list[tuple[Part, torch.Tensor | None]] = []  # only read

    # --- for subclasses

    def batches(self) -> int:
        """How many batches the passes take."""
        return 1

    def why_not(self) -> str:
        """Why the passes cannot be recorded; "" if they can."""
        if self.net.has_callbacks:
            return "it has callbacks or debug_info"
        if self.graphs.failed():
            return self.graphs.failed()
        if self._unrecordable is None:
            self._unrecordable = unrecordable(self.net)
            if not any(layer.type == "Data" for layer in self.net.graph.layers):
                self._unrecordable = self._unrecordable or "no Data layer brings its images"
        if self._unrecordable or self._changes < MOST_CHANGES:
            return self._unrecordable
        return f"it has changed {MOST_CHANGES} times"

    def key(self) -> Any:
        """What a recording depends on: shapes, and which memory the blobs have."""
        graph = self.net.graph
        return (
            [*map(shape_of, graph.blobs)],
            [*map(parts_of, graph.blobs), *map(parts_of, parameters_of(self.net))],
            [[*layer.loss_weights] for layer in graph.layers],
            CONTEXT.precision,
        )

    def left_out(self) -> str:
        """The end of the log line on what is never recorded; "" for nothing."""
        return ""

    def is_ready(self) -> bool:
        """Whether everything is known that a recording needs."""
        return True

    def work(self) -> None:
        """Do the passes with the plans in ``_values``, and set ``loss``."""
        raise NotImplementedError(f"{type(self).__name__}.work")

    def compare(self) -> bool:
        """Do the work both ways from one state, and record it; return whether the bits agree."""
        raise NotImplementedError(f"{type(self).__name__}.compare")

    # --- what the solver calls instead of the passes

    def passes(self) -> torch.Tensor | None:
        """Repeat the passes and return their loss, or None if the caller must do them plainly."""
        self.repeated = False
        if not self.refused:
            reason = self.why_not()
            if reason:
                self.give_up(reason)
        if self.refused or not self._take_batches():
            return None
        key = self.key()
        if key != self._key or not self._memory_stays():
            self._key, self.repeat, self._done = key, None, 0
            self._made, self._filled, self._kept = [], [], []
            self._changes += 1
        if self.repeat is None:
            self._done += 1
            if self._done <= PLAIN_FIRST or not self.is_ready():
                return None
            self._bring_batches()
            if not self._record():
                return None
        else:
            self._bring_batches()
        for layer, _ in self._values:
            layer.forget_ahead()
        assert self.repeat is not None and self.loss is not None
        self.repeat()
        self.show_results()
        self.repeated = True
        return self.loss.clone()  # the next repetition overwrites it

    def give_up(self, reason: str) -> None:
        """Keep to the plain path from now on, and log why."""
        self.refused = reason
        self.repeat = self.loss = None
        self._made, self._filled, self._kept = [], [], []
        glog.info(f"{self.what} are not repeated as a CUDA graph: {reason}")

    def _record(self) -> bool:
        """Record, and compare with the plain path; give up and return False if that fails."""
        why = ""
        try:
            if not self.compare():
                why = "its results differ from those of the plain path"
        except Exception as error:  # whatever it is, the plain path has done the same work before
            why = f"torch cannot record it ({first_line(error)})"
        finally:
            for layer, _ in self._values:
                layer.use_values([])
        if why:
            self.give_up(why)
            return False
        self.recorded += 1
        if self.recorded == 1:
            glog.info(
                f"{self.what} are repeated as a CUDA graph, which gave the plain path's bits"
                f"{self.left_out()}"
            )
        return True

    # --- batches

    def _take_batches(self) -> bool:
        """Take the passes' batches; return False if one brings images, which a recording cannot."""
        count, planned = self.batches(), True
        layers = [layer for layer in self.net.graph.layers if isinstance(layer, DeviceData)]
        for layer in layers:
            planned &= layer.take_ahead(count)
        if not planned:
            return False
        if [(layer, len(values)) for layer, values in self._values] != [
            (layer, count) for layer in layers
        ]:
            self._values = [(layer, layer.buffers_ahead()) for layer in layers]
        return True

    def _bring_batches(self) -> None:
        for layer, values in self._values:
            for target, source in zip(values, layer.plans_ahead()):
                target.copy_(staged(source, target.device), non_blocking=True)

    def use_batches(self) -> None:
        """Let the next passes take the plans in ``_values`` as their batches."""
        for layer, values in self._values:
            layer.use_values(values)

    # --- memory

    def recorded_work(self) -> Callable[[], object]:
        """Record ``work``, and note what it does with the memory of each blob."""
        parts, inputs = self._parts(), self._inputs()
        before = [(part.tensor, _version(part.tensor)) for part in parts]
        self.repeat = repeat = self.graphs.record(self.work)
        self._made, self._filled, self._kept = [], [], []
        for part, (old, version) in zip(parts, before):
            if part in inputs:
                self._kept.append((part, old))
            elif part.tensor is not None and part.tensor is not old:
                self._made.append((part, part.tensor))
            elif old is not None and _version(old) != version:
                self._filled.append((part, old))
            else:
                self._kept.append((part, part.tensor))
        return repeat

    def _inputs(self) -> list[Part]:
        """The Input layers' data, which a script fills, and a layer may write into in place."""
        graph = self.net.graph
        return [
            parts_of(top)[0]
            for layer, tops in zip(graph.layers, graph.tops)
            if layer.type == "Input"
            for top in tops
        ]

    def _parts(self) -> list[Part]:
        blobs = [*self.net.graph.blobs, *parameters_of(self.net)]
        return list({id(part): part for blob in blobs for part in parts_of(blob)}.values())

    def show_results(self) -> None:
        """Let the blobs show what the recorded passes have written."""
        for part, tensor in self._made:
            part.tensor, part.whole, part.of = tensor, None, None
            part.cleared = part.host_is_newer = False
        for part, _ in self._filled:
            part.cleared = part.host_is_newer = False
        for part, kept in self._kept:
            if part.cleared and kept is not None:  # a cleared diff to which no layer adds
                kept.zero_()
                part.cleared = False

    def _memory_stays(self) -> bool:
        """Whether the blobs still have the recorded memory; copies scripts' new values to it."""
        if any(part.tensor is not tensor for part, tensor in (*self._kept, *self._filled)):
            return False
        for part, tensor in self._kept:
            if part.host_is_newer and tensor is not None:
                part.computed(tensor.shape)
        return True


def _version(tensor: torch.Tensor | None) -> int:
    """How often torch has written into a tensor."""
    return 0 if tensor is None else tensor._version
