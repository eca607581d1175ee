"""RNN: the plain recurrent net (src/caffe/layers/rnn_layer.cpp).

    h_t = tanh(W_hh · (cont_t · h_{t−1}) + W_xh · x_t + b_h [+ W_xh_static · x_static])
    o_t = tanh(W_ho · h_t + b_o)

The parameters are, in order, W_xh, b_h, [W_xh_static], W_hh, W_ho and b_o.
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
        self.add_transformed_input(net, "W_xh", "b_h", self.outputs)
        for t in range(1, self.steps + 1):
            self._add_step(net, t)
        self.add_output(net, "o")

    def _add_step(self, net: schema.NetParameter, t: int) -> None:
        names = (f"W_hh_h_{t - 1}", f"h_input_sum_{t}", f"h_neuron_input_{t}")
        self.add_hidden_and_input(net, t, names, ("W_hh", "W_xh"), self.outputs)
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
