"""LSTM: long short-term memory (src/caffe/layers/lstm_layer.cpp).

    (i', f', o', g')_t = W_hc · (cont_t · h_{t−1}) + W_xc · x_t + b_c [+ W_xc_static · x_static]

of which an LSTMUnit makes c_t and h_t.  Parameters, in order: W_xc, b_c, [W_xc_static], W_hc, each
with 4·num_output rows.  The hidden state has two parts, h and c.
"""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import register
from tinynet.torchcaffe.recurrent import Recurrent


@register("LSTM")
class LSTM(Recurrent):
    state_inputs = ("h_0", "c_0")
    output = "h"

    def state_outputs(self) -> tuple[str, ...]:
        return (f"h_{self.steps}", "c_T")

    def add_layers(self, net: schema.NetParameter) -> None:
        gates = 4 * self.outputs
        self.add_state_input(net, ("c_0", "h_0"))
        self.add_step_inputs(net, "cont", "cont", "cont_slice")
        net.layer.add(
            name="x_transform",
            type="InnerProduct",
            bottom=["x"],
            top=["W_xc_x"],
            param=[schema.ParamSpec(name=name) for name in ("W_xc", "b_c")],
            propagate_down=[True],
            inner_product_param=self.affine(gates, axis=2, bias=True),
        )
        if self.has_static:
            self.add_static_input(net, "W_xc_x_static", "W_xc_static", gates)
        self.add_step_inputs(net, "W_xc_x", "W_xc_x", "W_xc_x_slice")
        for t in range(1, self.steps + 1):
            self._add_step(net, t, gates)
        net.layer.add(type="Split", bottom=[f"c_{self.steps}"], top=["c_T"])
        outputs = [f"h_{t}" for t in range(1, self.steps + 1)]
        layer = net.layer.add(name="h_concat", type="Concat", bottom=outputs, top=["h"])
        layer.concat_param.axis = 0

    def _add_step(self, net: schema.NetParameter, t: int, gates: int) -> None:
        self.add_continued(net, t)
        net.layer.add(
            name=f"transform_{t}",
            type="InnerProduct",
            bottom=[f"h_conted_{t - 1}"],
            top=[f"W_hc_h_{t - 1}"],
            param=[schema.ParamSpec(name="W_hc")],
            inner_product_param=self.affine(gates, axis=2, bias=False),
        )
        terms = [f"W_hc_h_{t - 1}", f"W_xc_x_{t}"]
        if self.has_static:
            terms.append("W_xc_x_static")
        self.add_sum(net, f"gate_input_{t}", terms, f"gate_input_{t}")
        net.layer.add(
            name=f"unit_{t}",
            type="LSTMUnit",
            bottom=[f"c_{t - 1}", f"gate_input_{t}", f"cont_{t}"],
            top=[f"c_{t}", f"h_{t}"],
        )
