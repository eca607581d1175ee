"""LSTM: long short-term memory (src/caffe/layers/lstm_layer.cpp).

    (i', f', o', g')_t = W_hc · (cont_t · h_{t−1}) + W_xc · x_t + b_c [+ W_xc_static · x_static]

from which an LSTMUnit computes c_t and h_t.  The parameters are, in order, W_xc, b_c, [W_xc_static]
and W_hc, each with 4·num_output rows.  The hidden state has two parts, h and c.
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
        self.add_transformed_input(net, "W_xc", "b_c", gates)
        for t in range(1, self.steps + 1):
            names = (f"transform_{t}", f"gate_input_{t}", f"gate_input_{t}")
            self.add_hidden_and_input(net, t, names, ("W_hc", "W_xc"), gates)
            net.layer.add(
                name=f"unit_{t}",
                type="LSTMUnit",
                bottom=[f"c_{t - 1}", f"gate_input_{t}", f"cont_{t}"],
                top=[f"c_{t}", f"h_{t}"],
            )
        net.layer.add(type="Split", bottom=[f"c_{self.steps}"], top=["c_T"])
        self.add_output(net, "h")
