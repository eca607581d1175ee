"""RNN: the plain recurrent net (src/caffe/layers/rnn_layer.cpp).

    h_t = tanh(W_hh · (cont_t · h_{t−1}) + W_xh · x_t + b_h [+ W_xh_static · x_static])
    o_t = tanh(W_ho · h_t + b_o)

Parameters, in order: W_xh, b_h, [W_xh_static], W_hh, W_ho, b_o.
"""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import register
from tinynet.torchcaffe.recurrent import Recurrent


@register("RNN")
class RNN(Recurrent):
    state_inputs = ("h_0",)
    output = "o"

    def state_outputs(self) -> tuple[str, ...]:
        return (f"h_{self.steps}",)

    def add_layers(self, net: schema.NetParameter) -> None:
        self.add_state_input(net, ("h_0",))
        self.add_step_inputs(net, "cont", "cont", "cont_slice")
        net.layer.add(
            name="x_transform",
            type="InnerProduct",
            bottom=["x"],
            top=["W_xh_x"],
            param=[schema.ParamSpec(name=name) for name in ("W_xh", "b_h")],
            propagate_down=[True],
            inner_product_param=self.affine(self.outputs, axis=2, bias=True),
        )
        if self.has_static:
            self.add_static_input(net, "W_xh_x_static", "W_xh_static", self.outputs)
        self.add_step_inputs(net, "W_xh_x", "W_xh_x", "W_xh_x_slice")
        for t in range(1, self.steps + 1):
            self._add_step(net, t)
        outputs = [f"o_{t}" for t in range(1, self.steps + 1)]
        layer = net.layer.add(name="o_concat", type="Concat", bottom=outputs, top=["o"])
        layer.concat_param.axis = 0

    def _add_step(self, net: schema.NetParameter, t: int) -> None:
        self.add_continued(net, t)
        net.layer.add(
            name=f"W_hh_h_{t - 1}",
            type="InnerProduct",
            bottom=[f"h_conted_{t - 1}"],
            top=[f"W_hh_h_{t - 1}"],
            param=[schema.ParamSpec(name="W_hh")],
            inner_product_param=self.affine(self.outputs, axis=2, bias=False),
        )
        terms = [f"W_hh_h_{t - 1}", f"W_xh_x_{t}"]
        if self.has_static:
            terms.append("W_xh_x_static")
        self.add_sum(net, f"h_input_sum_{t}", terms, f"h_neuron_input_{t}")
        net.layer.add(
            name=f"h_neuron_{t}", type="TanH", bottom=[f"h_neuron_input_{t}"], top=[f"h_{t}"]
        )
        net.layer.add(
            name=f"W_ho_h_{t}",
            type="InnerProduct",
            bottom=[f"h_{t}"],
            top=[f"W_ho_h_{t}"],
            param=[schema.ParamSpec(name=name) for name in ("W_ho", "b_o")],
            inner_product_param=self.affine(self.outputs, axis=2, bias=True),
        )
        net.layer.add(name=f"o_neuron_{t}", type="TanH", bottom=[f"W_ho_h_{t}"], top=[f"o_{t}"])
