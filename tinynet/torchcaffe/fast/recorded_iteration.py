"""An iteration of training as a GPU repeats it: recorded once, where net and batch are static.

Recorded are the forward and backward passes of an iteration, with the images' cuts, mirrors and
dropout's masks, and, apart from them, the update of the weights.  The learning rate is a constant
of the recorded update, since a rate in memory would round otherwise than SGD does: where the rate
has changed the update is done as without a recording, and recorded anew once two rates in a row
are the same.  Outside stay the reading of records, what is displayed, clipped gradients, tests,
snapshots.

A recording is used only if it is right: before the first repetition, iterations are done both ways
from the same state, and all that they leave must be equal to the bit.  Where it is not, where torch
cannot record it, or where anything is unusual, the solver keeps to the plain path, and one line of
the log says why.

What makes a recording stale is ``_key``: then an iteration is done plainly, and the next is
recorded.  ``TINYNET_CUDA_GRAPHS=0`` switches all this off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob, Part
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.fast import graphs
from tinynet.torchcaffe.fast.device_data import DeviceData
from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.solver_types.sgd import SGDSolver

VARIABLE = "TINYNET_CUDA_GRAPHS"
# layers whose passes ask the device for the same work whatever the values are, nothing of the host
_STATIC = {
    *("Accuracy", "Concat", "Convolution", "Data", "Dropout", "Eltwise", "Flatten", "InnerProduct"),
    *("LRN", "Pooling", "ReLU", "Scale", "Sigmoid", "Silence", "Softmax", "SoftmaxWithLoss"),
    *("Split", "TanH"),
}
_COMPARED = 2  # iterations that are done both ways
_MOST = 20  # recordings of one solver: more would take longer than they save
_PLAIN_FIRST = 2  # iterations, in which libraries choose their functions


def wanted() -> bool:
    """Whether the environment leaves it on."""
    return os.environ.get(VARIABLE, "1") != "0"


class RecordedIteration:
    """The recordings of one solver's iteration; ``refused`` says why there are none."""

    def __init__(
        self, solver: SGDSolver, update: Callable[[float], None], device: torch.device
    ) -> None:
        """``update``: what updates the weights from their diffs, at a rate."""
        self._solver, self._update = solver, update
        self._graphs = graphs.BY_DEVICE[device.type](device)
        self.refused = ""
        self.recorded = 0  # how often
        self._done = 0  # iterations on the plain path since the key last changed
        self._key: Any = None
        self._repeat: Callable[[], object] | None = None
        self._loss: torch.Tensor | None = None
        self._values: list[tuple[DeviceData, list[torch.Tensor]]] = []
        self._after: list[tuple[Part, torch.Tensor]] = []  # what the recorded passes write
        self._kept: list[tuple[Part, torch.Tensor | None]] = []  # what they only read
        self._repeated = False  # whether the passes of this iteration were
        self._rate: float | None = None  # of the last update
        self._update_key: Any = None
        self._repeat_update: Callable[[], object] | None = None

    # --- what the solver calls

    def passes(self) -> torch.Tensor | None:
        """The loss of the iteration's passes, repeated; None: the solver must do them itself."""
        self._repeated = False
        if not self.refused:
            self.refused = self._why_not()
            if self.refused:
                self._give_up(self.refused)
        if self.refused or not self._take_batches():
            return None
        key = self._current_key()
        if key != self._key or not self._kept_is_kept():
            self._key, self._repeat, self._done = key, None, 0
        if self._repeat is None:
            self._done += 1
            if self._done <= _PLAIN_FIRST or self._rate is None:
                return None
            self._bring_batches()
            if not self._record():
                return None
        else:
            self._bring_batches()
        for layer, _ in self._values:
            layer.forget_ahead()
        assert self._repeat is not None and self._loss is not None
        self._repeat()
        self._show()
        self._repeated = True
        return self._loss.clone()  # the next repetition writes over it

    def update(self, rate: float) -> bool:
        """Repeat the update at ``rate``; False: the solver must do it itself."""
        previous, self._rate = self._rate, rate
        if not self._repeated:
            return False
        key = self._key_of_update(rate)
        if key != self._update_key:
            if rate != previous:
                return False
            self._record_update(rate)
        assert self._repeat_update is not None
        self._repeat_update()
        return True

    # --- whether it can be

    def _why_not(self) -> str:
        """What is unusual; "" where an iteration can be recorded."""
        solver, net = self._solver, self._solver.net
        if CONTEXT.solver_count > 1:
            return "several solvers train together"
        if solver.has_callbacks or net.has_callbacks:
            return "it has callbacks or debug_info"
        for layer in net.graph.layers:
            ours = type(layer).__module__.startswith("tinynet.torchcaffe.")
            if layer.type not in _STATIC or not ours:
                return f"layer {layer.name} is of type {layer.type}, whose work may change"
            if layer.type == "Data" and not (isinstance(layer, DeviceData) and layer.stays):
                return f"the images of layer {layer.name} do not stay on the device"
            if isinstance(layer, Pooling) and layer.method == layer.STOCHASTIC:
                return f"layer {layer.name} draws what it pools"
        if not any(layer.type == "Data" for layer in net.graph.layers):
            return "no Data layer brings its images"
        if self.recorded >= _MOST:
            return f"it has changed {_MOST} times"
        return ""

    def _give_up(self, reason: str) -> None:
        self.refused = reason
        self._repeat = self._repeat_update = None
        self._after, self._kept, self._loss = [], [], None
        glog.info(f"Iterations are not repeated as a CUDA graph: {reason}")

    def _current_key(self) -> Any:
        """What a recording rests on, by value; memory by its address."""
        solver, graph = self._solver, self._solver.net.graph
        return (
            solver.parameters.iter_size,
            [blob.shape for blob in graph.blobs],
            [blob.tensor.data_ptr() for layer in graph.layers for blob in layer.blobs],
            [[*layer.param_propagate_down] for layer in graph.layers],
            [[*layer.loss_weights] for layer in graph.layers],
            [*graph.layer_need_backward],
            [[*row] for row in graph.bottom_need_backward],
            [[tuple(v.shape) for v in values] for _, values in self._values],
            CONTEXT.precision,
        )

    def _kept_is_kept(self) -> bool:
        """Whether what is only read is where it was, and nobody has written into it."""
        return all(part.tensor is tensor and not part.host_is_newer for part, tensor in self._kept)

    # --- batches

    def _take_batches(self) -> bool:
        """Take the iteration's batches; False where one brings images, to be done plainly."""
        count = self._solver.parameters.iter_size
        layers = [layer for layer in self._solver.net.graph.layers if layer.type == "Data"]
        planned = True
        for layer in layers:
            assert isinstance(layer, DeviceData)
            planned &= layer.take_ahead(count)
        if not planned:
            return False
        if [(layer, len(values)) for layer, values in self._values] != [
            (layer, count) for layer in layers
        ]:
            self._values = [
                (layer, layer.room_ahead()) for layer in layers if isinstance(layer, DeviceData)
            ]
        return True

    def _bring_batches(self) -> None:
        for layer, values in self._values:
            for target, source in zip(values, layer.values_ahead()):
                target.copy_(source, non_blocking=True)

    # --- recording

    def _work(self) -> None:
        """The passes of an iteration, of the batches that lie in ``_values``."""
        for layer, values in self._values:
            layer.use(values)
        self._solver.net.clear_param_diffs()
        self._loss = self._solver.plain_passes()

    def _parts(self) -> list[Part]:
        graph = self._solver.net.graph
        blobs: list[Blob] = [*graph.blobs]
        for layer in graph.layers:
            blobs += layer.blobs
        return list({id(part): part for blob in blobs for part in blob.parts}.values())

    def _record(self) -> bool:
        """Record, and compare with the plain path; False, and refused, where it cannot be used."""
        solver, rate = self._solver, self._rate
        assert rate is not None
        layers = solver.net.graph.layers
        weights = [blob.tensor for layer in layers for blob in layer.blobs]
        state = [*weights, *solver.history]
        saved = [tensor.clone() for tensor in state]
        drawn = self._graphs.random_state()
        parts = self._parts()

        def back() -> None:
            torch._foreach_copy_(state, saved)
            self._graphs.set_random_state(drawn)

        def left() -> list[torch.Tensor]:
            assert self._loss is not None
            grads = [blob.grad for blob in solver.net.learnable_params]
            values = [tensor.clone() for tensor in (*state, *grads, self._loss)]
            return [*values, self._graphs.random_state()]

        def plainly() -> None:
            for _ in range(_COMPARED):
                self._work()
                self._update(rate)

        why = ""
        try:
            self._graphs.beside(plainly)
            expected = left()
            back()
            before = [part.tensor for part in parts]
            self._repeat = self._graphs.record(self._work)
            self._remember(parts, before)
            self._record_update(rate)
            back()
            for _ in range(_COMPARED):
                self._repeat()
                self._show()
                assert self._repeat_update is not None
                self._repeat_update()
            if not self._graphs.same(left(), expected):
                why = "its results differ from those of the plain path"
        except RuntimeError as error:
            why = f"torch cannot record it ({(str(error).strip() or repr(error)).splitlines()[0]})"
        finally:
            for layer, _ in self._values:
                layer.use([])
        back()
        if why:
            solver.net.clear_param_diffs()  # again: the solver's own passes add to them
            self._give_up(why)
            return False
        self.recorded += 1
        if self.recorded == 1:
            glog.info(
                "Iterations are repeated as a CUDA graph, which gave the plain path's bits in "
                f"{_COMPARED} iterations"
            )
        return True

    def _remember(self, parts: list[Part], before: list[torch.Tensor | None]) -> None:
        self._after, self._kept = [], []
        for part, old in zip(parts, before):
            if part.tensor is not None and part.tensor is not old:
                self._after.append((part, part.tensor))
            else:
                self._kept.append((part, part.tensor))

    def _show(self) -> None:
        """Let the blobs show what the recorded passes write."""
        for part, tensor in self._after:
            part.tensor, part.whole, part.of = tensor, None, None
            part.cleared = part.host_is_newer = False

    # --- the update

    def _key_of_update(self, rate: float) -> Any:
        solver, param = self._solver, self._solver.parameters
        return (
            rate,
            param.iter_size,
            param.momentum,
            param.weight_decay,
            [*solver.net.params_lr],
            [*solver.net.params_decay],
            [blob.tensor.data_ptr() for blob in solver.net.learnable_params],
            [blob.grad.data_ptr() for blob in solver.net.learnable_params],
            [tensor.data_ptr() for tensor in solver.history],
        )

    def _record_update(self, rate: float) -> None:
        self._repeat_update = self._graphs.record(lambda: self._update(rate))
        self._update_key = self._key_of_update(rate)
