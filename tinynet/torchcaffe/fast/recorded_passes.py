"""Passes through a net as a GPU repeats them: recorded once, where net and batch are static.

What is recorded is a subclass's affair; here is what every recording of a net rests on.  Its layers
must ask the device for the same work whatever the values are.  Its batches are taken ahead, as
plans of which images are cut where, and lie at a place that stays.  Its parameters and blobs stay
where they were; what a script has written into them is copied there first.

A recording is used only if it is right: before the first repetition the work is done both ways, and
all that it leaves must be equal to the bit.  Where it is not, where torch cannot record it, or
where anything is unusual, the plain path stays, and one line of the log says why.

What makes a recording stale is its key: then the work is done plainly, and recorded anew the next
time.  ``TINYNET_CUDA_GRAPHS=0`` switches all this off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import torch

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
# layers whose passes ask the device for the same work whatever the values are, nothing of the host
_STATIC = {
    *("Accuracy", "Concat", "Convolution", "Data", "Dropout", "Eltwise", "Flatten", "InnerProduct"),
    *("Input", "LRN", "Pooling", "ReLU", "Scale", "Sigmoid", "Silence", "Softmax"),
    *("SoftmaxWithLoss", "Split", "TanH"),
}
MOST = 20  # changes of what a recording rests on: recording anew would take longer than it saves
PLAIN_FIRST = 2  # times that it is done plainly, in which libraries choose their functions


def wanted() -> bool:
    """Whether the environment leaves it on."""
    return os.environ.get(VARIABLE, "1") != "0"


def unusual(net: Net) -> str:
    """Why the work of a net's layers cannot be recorded; "" where it can."""
    for layer in net.graph.layers:
        ours = type(layer).__module__.startswith("tinynet.torchcaffe.")
        if layer.type not in _STATIC or not ours:
            return f"layer {layer.name} is of type {layer.type}, whose work may change"
        if layer.type == "Data" and not (isinstance(layer, DeviceData) and layer.stays):
            return f"the images of layer {layer.name} do not stay on the device"
        if isinstance(layer, Pooling) and layer.method == layer.STOCHASTIC:
            return f"layer {layer.name} draws what it pools"
    return ""


def parameters_of(net: Net) -> list[Blob]:
    """The parameters of all layers, as the layers have them."""
    return [blob for layer in net.graph.layers for blob in layer.blobs]


class RecordedPasses:
    """The recordings of one net's passes; ``refused`` says why there are none.

    A subclass says what is recorded, by ``work``, and how it is compared, by ``compare``.
    """

    #: in the log: what is repeated
    what: ClassVar[str]

    def __init__(self, net: Net, device: torch.device) -> None:
        self.net = net
        self.graphs = graphs.BY_DEVICE[device.type](device)
        self.refused = ""
        self.recorded = 0  # how often
        self.repeated = False  # whether the last passes were
        self._unusual: str | None = None  # of the layers, once looked at
        self._done = 0  # times on the plain path since the key last changed
        self._changes = -1  # how often it has; it first changes to the one that it begins with
        self._key: Any = None
        self.repeat: Callable[[], object] | None = None
        self.loss: torch.Tensor | None = None
        self._values: list[tuple[DeviceData, list[torch.Tensor]]] = []
        self._after: list[tuple[Part, torch.Tensor]] = []  # what the recorded passes write
        # where a script looks: memory that they fill, whatever it holds before
        self._filled: list[tuple[Part, torch.Tensor]] = []
        self._kept: list[tuple[Part, torch.Tensor | None]] = []  # what they only read

    # --- for subclasses

    def batches(self) -> int:
        """How many batches the passes take."""
        return 1

    def why_not(self) -> str:
        """What is unusual; "" where the passes can be recorded."""
        if self.net.has_callbacks:
            return "it has callbacks or debug_info"
        if self.graphs.failed():
            return self.graphs.failed()
        if self._unusual is None:
            self._unusual = unusual(self.net)
            if not any(layer.type == "Data" for layer in self.net.graph.layers):
                self._unusual = self._unusual or "no Data layer brings its images"
        if self._unusual or self._changes < MOST:
            return self._unusual
        return f"it has changed {MOST} times"

    def key(self) -> Any:
        """What a recording rests on: shapes, and whose memory the blobs have."""
        graph = self.net.graph
        return (
            [*map(shape_of, graph.blobs)],
            [*map(parts_of, graph.blobs), *map(parts_of, parameters_of(self.net))],
            [[*layer.loss_weights] for layer in graph.layers],
            CONTEXT.precision,
        )

    def besides(self) -> str:
        """What is done without the recording all the same, for the log; "" for nothing."""
        return ""

    def can_begin(self) -> bool:
        """Whether all is known that a recording needs."""
        return True

    def work(self) -> None:
        """The passes of the batches that lie in their places; sets ``loss``."""
        raise NotImplementedError(f"{type(self).__name__}.work")

    def compare(self) -> bool:
        """Do the work both ways from one state, and record it; whether it leaves the same bits."""
        raise NotImplementedError(f"{type(self).__name__}.compare")

    # --- what is called instead of the passes

    def passes(self) -> torch.Tensor | None:
        """The loss of the passes, repeated; None: they must be done plainly."""
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
            self._after, self._filled, self._kept = [], [], []
            self._changes += 1
        if self.repeat is None:
            self._done += 1
            if self._done <= PLAIN_FIRST or not self.can_begin():
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
        self.show()
        self.repeated = True
        return self.loss.clone()  # the next repetition writes over it

    def give_up(self, reason: str) -> None:
        """Keep to the plain path, and say why."""
        self.refused = reason
        self.repeat = self.loss = None
        self._after, self._filled, self._kept = [], [], []
        glog.info(f"{self.what} are not repeated as a CUDA graph: {reason}")

    def _record(self) -> bool:
        """Record, and compare with the plain path; False, and refused, where it cannot be used."""
        why = ""
        try:
            if not self.compare():
                why = "its results differ from those of the plain path"
        except Exception as error:  # whatever it is, the plain path has done the same without it
            why = f"torch cannot record it ({first_line(error)})"
        finally:
            for layer, _ in self._values:
                layer.use([])
        if why:
            self.give_up(why)
            return False
        self.recorded += 1
        if self.recorded == 1:
            glog.info(
                f"{self.what} are repeated as a CUDA graph, which gave the plain path's bits"
                f"{self.besides()}"
            )
        return True

    # --- batches

    def _take_batches(self) -> bool:
        """Take the batches of the passes; False where one brings images, to be done plainly."""
        count, planned = self.batches(), True
        layers = [layer for layer in self.net.graph.layers if isinstance(layer, DeviceData)]
        for layer in layers:
            planned &= layer.take_ahead(count)
        if not planned:
            return False
        if [(layer, len(values)) for layer, values in self._values] != [
            (layer, count) for layer in layers
        ]:
            self._values = [(layer, layer.room_ahead()) for layer in layers]
        return True

    def _bring_batches(self) -> None:
        for layer, values in self._values:
            for target, source in zip(values, layer.plans_ahead()):
                target.copy_(staged(source, target.device), non_blocking=True)

    def use_batches(self) -> None:
        """Let the next passes take the batches that lie in their places."""
        for layer, values in self._values:
            layer.use(values)

    # --- memory

    def recorded_work(self) -> Callable[[], object]:
        """Record ``work``, and note which blobs it writes."""
        parts, inputs = self._parts(), self._inputs()
        before = [(part.tensor, _version(part.tensor)) for part in parts]
        self.repeat = repeat = self.graphs.record(self.work)
        self._after, self._filled, self._kept = [], [], []
        for part, (old, version) in zip(parts, before):
            if part in inputs:
                self._kept.append((part, old))
            elif part.tensor is not None and part.tensor is not old:
                self._after.append((part, part.tensor))
            elif old is not None and _version(old) != version:
                self._filled.append((part, old))
            else:
                self._kept.append((part, part.tensor))
        return repeat

    def _inputs(self) -> list[Part]:
        """What a script fills, and a layer that works in place may write into besides."""
        graph = self.net.graph
        return [
            top.parts[0]
            for layer, tops in zip(graph.layers, graph.tops)
            if layer.type == "Input"
            for top in tops
        ]

    def _parts(self) -> list[Part]:
        blobs = [*self.net.graph.blobs, *parameters_of(self.net)]
        return list({id(part): part for blob in blobs for part in blob.parts}.values())

    def show(self) -> None:
        """Let the blobs show what the recorded passes write."""
        for part, tensor in self._after:
            part.tensor, part.whole, part.of = tensor, None, None
            part.cleared = part.host_is_newer = False
        for part, _ in self._filled:
            part.cleared = part.host_is_newer = False
        for part, kept in self._kept:
            if part.cleared and kept is not None:  # a diff that was cleared, and nobody adds to
                kept.zero_()
                part.cleared = False

    def _memory_stays(self) -> bool:
        """Whether what is not made anew lies where it did; a script's values are copied there."""
        if any(part.tensor is not tensor for part, tensor in (*self._kept, *self._filled)):
            return False
        for part, tensor in self._kept:
            if part.host_is_newer and tensor is not None:
                part.computed(tensor.shape)
        return True


def _version(tensor: torch.Tensor | None) -> int:
    """How often torch has written into it."""
    return 0 if tensor is None else tensor._version
