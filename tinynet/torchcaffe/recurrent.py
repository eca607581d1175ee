"""Recurrent: base of the layers that run a small net once for each step of a sequence.

The layer builds that net unrolled, with a copy of the step's layers for each of the T steps of its
input and with parameters shared by name, and delegates forward and backward to it.  The parameters,
their order and the random draws of their fillers are therefore those of the unrolled net.

    bottoms  x (T×N×…), cont (T×N), [x_static (N×…)], and with ``expose_hidden`` the hidden state
             before the first step, one 1×N×D blob for each part of it
    tops     the outputs of all steps (T×N×D), and with ``expose_hidden`` the hidden state after the
             last step

T is fixed when the layer is set up; N, the number of independent streams, may change.  cont is 0
where a sequence begins and 1 elsewhere.  Without ``expose_hidden`` the hidden state carries over
from one forward to the next.  No diff flows back across forwards, nor into or out of an exposed
hidden state.

Source: Caffe's src/caffe/layers/recurrent_layer.cpp.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.layer import Blobs, Layer
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.vectors import BlobVec


class Recurrent(Layer):
    """A subclass defines one step: ``add_layers``, and the names of its blobs."""

    #: the blobs that hold the hidden state before the first step
    state_inputs: ClassVar[tuple[str, ...]]
    #: the blob that holds the outputs of all steps
    output: ClassVar[str]

    def __init__(
        self, param: schema.LayerParameter, phase: int, blobs: BlobVec | None = None
    ) -> None:
        super().__init__(param, phase, blobs)
        self.exposed = param.recurrent_param.expose_hidden
        parts = len(self.state_inputs) if self.exposed else 0
        self.num_bottom = (2 + parts, 3 + parts)
        self.num_top = (1 + parts, 1 + parts)

    # --- for subclasses

    def state_outputs(self) -> tuple[str, ...]:
        """The blobs that hold the hidden state after the last step, in ``state_inputs``' order."""
        raise NotImplementedError

    def add_layers(self, net: schema.NetParameter) -> None:
        """Append the layers between the inputs and ``output`` to ``net``."""
        raise NotImplementedError

    def affine(self, outputs: int, axis: int, bias: bool) -> schema.InnerProductParameter:
        """The InnerProductParameter of one transformation of the step."""
        given = self.param.recurrent_param
        param = schema.InnerProductParameter(num_output=outputs, bias_term=bias, axis=axis)
        param.weight_filler.CopyFrom(given.weight_filler)
        if bias:
            param.bias_filler.CopyFrom(given.bias_filler)
        return param

    def add_static_input(
        self, net: schema.NetParameter, name: str, weight: str, outputs: int
    ) -> None:
        """Append the layers of x_static's term in every step's sum: the blob ``name``, 1×N×D."""
        net.layer.add(
            name=name,
            type="InnerProduct",
            bottom=["x_static"],
            top=[f"{name}_preshape"],
            param=[schema.ParamSpec(name=weight)],
            propagate_down=[True],
            inner_product_param=self.affine(outputs, axis=1, bias=False),
        )
        layer = net.layer.add(
            name=f"{name}_reshape", type="Reshape", bottom=[f"{name}_preshape"], top=[name]
        )
        layer.reshape_param.shape.dim.extend([1, -1, outputs])

    def add_transformed_input(
        self, net: schema.NetParameter, weight: str, bias: str, outputs: int
    ) -> None:
        """Append the layers of x's terms in the steps' sums, ``weight``_x_1 …, and of cont_1 ….

        If there is x_static, also those of its term, ``weight``_x_static.
        """
        self.add_step_inputs(net, "cont", "cont", "cont_slice")
        net.layer.add(
            name="x_transform",
            type="InnerProduct",
            bottom=["x"],
            top=[f"{weight}_x"],
            param=[schema.ParamSpec(name=name) for name in (weight, bias)],
            propagate_down=[True],
            inner_product_param=self.affine(outputs, axis=2, bias=True),
        )
        if self.has_static:
            self.add_static_input(net, f"{weight}_x_static", f"{weight}_static", outputs)
        self.add_step_inputs(net, f"{weight}_x", f"{weight}_x", f"{weight}_x_slice")

    def add_hidden_and_input(
        self,
        net: schema.NetParameter,
        t: int,
        names: tuple[str, str, str],
        weights: tuple[str, str],
        outputs: int,
    ) -> None:
        """Append the layers of step ``t``'s sum: the transformed h plus the input's terms.

        ``names`` are those of the transformation's layer, the sum's layer and the sum's blob;
        ``weights`` those of the weights of h and of the input.
        """
        transformed, summed, total = names
        of_hidden, of_input = weights
        self.add_continued(net, t)
        net.layer.add(
            name=transformed,
            type="InnerProduct",
            bottom=[f"h_conted_{t - 1}"],
            top=[f"{of_hidden}_h_{t - 1}"],
            param=[schema.ParamSpec(name=of_hidden)],
            inner_product_param=self.affine(outputs, axis=2, bias=False),
        )
        terms = [f"{of_hidden}_h_{t - 1}", f"{of_input}_x_{t}"]
        if self.has_static:
            terms.append(f"{of_input}_x_static")
        layer = net.layer.add(name=summed, type="Eltwise", bottom=terms, top=[total])
        layer.eltwise_param.operation = schema.EltwiseParameter.SUM

    def add_output(self, net: schema.NetParameter, part: str) -> None:
        """Append the Concat of ``part``_1 … ``part``_T into the output, called ``part``."""
        outputs = [f"{part}_{t}" for t in range(1, self.steps + 1)]
        layer = net.layer.add(name=f"{part}_concat", type="Concat", bottom=outputs, top=[part])
        layer.concat_param.axis = 0

    def add_step_inputs(self, net: schema.NetParameter, bottom: str, top: str, name: str) -> None:
        """Append the Slice that cuts ``bottom`` into ``top``_1 … ``top``_T, one for each step."""
        steps = [f"{top}_{t}" for t in range(1, self.steps + 1)]
        layer = net.layer.add(name=name, type="Slice", bottom=[bottom], top=steps)
        layer.slice_param.axis = 0

    def add_continued(self, net: schema.NetParameter, t: int) -> None:
        """Append the layer that resets h of the step before ``t`` where a sequence begins."""
        layer = net.layer.add(
            name=f"h_conted_{t - 1}",
            type="Scale",
            bottom=[f"h_{t - 1}", f"cont_{t}"],
            top=[f"h_conted_{t - 1}"],
        )
        layer.scale_param.axis = 0

    # --- the layer

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._read_shapes(bottom)
        glog.info(
            f"Initializing recurrent layer: assuming input batch contains {self.steps} timesteps "
            f"of {self.streams} independent streams.",
        )
        # with expose_hidden the blobs of the hidden state come last
        self.has_static = len(bottom) == self.num_bottom[1]
        if self.has_static:
            self._check_static(bottom[2])
        self.outputs = self.param.recurrent_param.num_output
        self.require(self.outputs > 0, "num_output must be positive")
        self.require(
            not len(self.param.blobs),
            "blobs stated in the prototxt have no effect on this layer in Caffe; "
            "load its weights from a .caffemodel",
        )
        self.unrolled = Net.from_param(self._unrolled_param(bottom))
        if self.param.recurrent_param.debug_info:
            self.unrolled.enable_debug_info()
        graph = self.unrolled.graph
        self._last_layer = len(graph.layers) - 2  # the very last is the pseudo-loss
        blobs = self.unrolled.blobs
        self._state_before = [blobs[name] for name in self.state_inputs]
        self._state_after = [blobs[name] for name in self.state_outputs()]
        for number, name, blob in _own_parameters(graph):
            glog.info(f"Adding parameter {number}: {name}")
            self.blobs.append(blob)

    def _read_shapes(self, bottom: Blobs) -> None:
        x, cont = bottom[0].shape, bottom[1].shape
        self.require(
            len(x) >= 2,
            f"bottom 0 must be of (steps, streams, …), 2 axes or more; its shape is {x}",
        )
        self.require(
            len(cont) == 2 and cont == x[:2],
            f"bottom 1, which says where sequences continue, must have the shape {x[:2]} of "
            f"(steps, streams) that bottom 0 begins with; its shape is {cont}",
        )
        self.steps, self.streams = x[:2]

    def _check_static(self, static: Blob) -> None:
        self.require(
            static.shape[:1] == (self.streams,),
            f"bottom 2, the static input, must begin with the {self.streams} streams of bottom 0; "
            f"its shape is {static.shape}",
        )

    def _unrolled_param(self, bottom: Blobs) -> schema.NetParameter:
        net = schema.NetParameter()
        inputs = ["x", "cont", "x_static"][: 3 if self.has_static else 2]
        layer = net.layer.add(type="Input", top=inputs)
        for blob, _ in zip(bottom, inputs):
            layer.input_param.shape.add(dim=blob.shape)
        self.add_layers(net)
        for layer in net.layer:
            layer.name = f"{self.name}_{layer.name}" if self.name else layer.name
        # without a loss the net would propagate nothing back; this layer never runs
        pseudo_loss = f"{self.output}_pseudoloss"
        net.layer.add(
            name=pseudo_loss,
            type="Reduction",
            bottom=[self.output],
            top=[pseudo_loss],
            loss_weight=[1],
        )
        return net

    def add_state_input(self, net: schema.NetParameter, names: tuple[str, ...]) -> None:
        """Append the Input layer of the hidden state before the first step."""
        layer = net.layer.add(type="Input", top=names)
        for _ in names:
            layer.input_param.shape.add(dim=(1, self.streams, self.outputs))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        steps = self.steps
        self._read_shapes(bottom)
        self.require(
            self.steps == steps,
            f"the number of steps is fixed when the net is made: {steps}; got {self.steps}",
        )
        blobs = self.unrolled.blobs
        outer = dict(zip(("x", "cont", "x_static") if self.has_static else ("x", "cont"), bottom))
        if self.has_static:
            self._check_static(bottom[2])
        for name, blob in outer.items():
            blobs[name].resize(blob.shape)
        for blob in self._state_before:
            blob.resize((1, self.streams, self.outputs))
        self.unrolled.reshape()
        for name, blob in outer.items():
            blobs[name].share_data(blob)
            if name != "cont":
                blobs[name].share_diff(blob)
        if self.exposed:
            for inner, blob in zip(self._state_before, bottom[len(outer) :]):
                self.require(
                    blob.shape == inner.shape,
                    f"a blob of the hidden state must have the shape {inner.shape}; "
                    f"its shape is {blob.shape}",
                )
                inner.share_data(blob)
        output = blobs[self.output]
        top[0].resize(output.shape)
        top[0].share_data(output)
        top[0].share_diff(output)
        for above, inner in zip(top[1:], self._state_after):
            above.resize(inner.shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if self.phase == schema.TEST:
            # a test net shares the first step's parameters with the train net: share them with the
            # later steps again
            self.unrolled.graph.share_parameters()
        if not self.exposed:
            for before, after in zip(self._state_before, self._state_after):
                before.set_data(after.tensor.clone())
        self.unrolled.run_forward(0, self._last_layer)
        for above, inner in zip(top[1:], self._state_after):
            above.share_data(inner)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.require(
            not propagate_down[1], "cannot propagate to bottom 1, where sequences continue"
        )
        self.unrolled.run_backward(self._last_layer)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    # --- exact resume

    def state(self) -> dict[str, Any] | None:
        """Return the hidden state after the last step, by blob: little-endian float32 in base64."""
        if self.exposed:
            return None
        return {
            name: base64.b64encode(blob.tensor.cpu().numpy().astype("<f4").tobytes()).decode(
                "ascii"
            )
            for name, blob in zip(self.state_inputs, self._state_after)
        }

    def set_state(self, state: dict[str, Any]) -> None:
        for name, blob in zip(self.state_inputs, self._state_after):
            try:
                values = np.frombuffer(base64.b64decode(state[name], validate=True), "<f4")
            except (KeyError, TypeError, ValueError) as error:
                self.require(False, f"the hidden state {name} is missing or damaged: {error}")
            self.require(
                values.size == blob.count,
                f"the hidden state {name} has {values.size} values; the net's has {blob.count}",
            )
            blob.tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(blob.shape))


def _own_parameters(graph: NetGraph) -> Iterator[tuple[int, str, Blob]]:
    """Yield index, name and blob of each of a net's parameters that does not share another's."""
    own = {id(blob) for blob in graph.learnable_params}
    named = (
        (layer.param.param[index].name, blob)
        for layer in graph.layers
        for index, blob in enumerate(layer.blobs)
    )
    for number, (name, blob) in enumerate(named):
        if id(blob) in own:
            yield number, name, blob
