"""LSTMUnit: one step of an LSTM's cells (src/caffe/layers/lstm_unit_layer.cpp).

The bottoms are c_{t−1} (1×N×D), the inputs of the gates (i', f', o', g') (1×N×4D) and cont (1×N);
the tops are c_t and h_t:

    i = σ(i')   f = cont · σ(f')   o = σ(o')   g = tanh(g')
    c_t = f · c_{t−1} + i · g       h_t = o · tanh(c_t)

Where cont is neither 0 nor 1, the diff of f' is wrong in the same way as Caffe's, which uses
f · (1 − f).
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("LSTMUnit")
class LSTMUnit(Layer):
    num_bottom = (3, 3)
    num_top = (2, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        # c_t may overwrite c_{t−1}, as in Caffe, though the diffs are then those of other cells
        self.require(top[1] is not bottom[1], "cannot work in place on the inputs of its gates")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        cell, gates, cont = (blob.shape for blob in bottom)
        streams = cell[:2]
        self.require(
            len(cell) == 3 and cell[0] == 1,
            f"bottom 0, the cells, must have the shape (1, streams, size); its shape is {cell}",
        )
        expected = (*streams, 4 * cell[2])
        self.require(
            gates == expected,
            f"bottom 1, the inputs of four gates, must have the shape {expected}; "
            f"its shape is {gates}",
        )
        self.require(
            cont == streams,
            f"bottom 2, which says where sequences continue, must have the shape {streams}; "
            f"its shape is {cont}",
        )
        for above in top:
            above.resize(cell)

    def _gates(self, gates: Blob, cont: Blob) -> tuple[torch.Tensor, ...]:
        """i, f, o and g, each 1×N×D."""
        i, f, o, g = gates.tensor.chunk(4, 2)
        continues = cont.tensor.unsqueeze(2)
        # where cont is 0, f is 0 even if its sigmoid is NaN
        kept = torch.where(continues == 0, torch.zeros_like(f), continues * f.sigmoid())
        return i.sigmoid(), kept, o.sigmoid(), g.tanh()

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        i, f, o, g = self._gates(bottom[1], bottom[2])
        cell = f * bottom[0].tensor + i * g
        top[0].set_data(cell)
        top[1].set_data(o * cell.tanh())

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.require(
            not propagate_down[2], "cannot backpropagate to bottom 2, where sequences continue"
        )
        if not (propagate_down[0] or propagate_down[1]):
            return
        i, f, o, g = self._gates(bottom[1], bottom[2])
        above = top[1].grad
        squashed = top[0].tensor.tanh()
        cell = top[0].grad + above * o * (1 - squashed * squashed)
        # Caffe writes both diffs, even if only one is asked for
        gates = (
            cell * g * i * (1 - i),
            cell * bottom[0].tensor * f * (1 - f),
            above * squashed * o * (1 - o),
            cell * i * (1 - g * g),
        )
        bottom[0].set_diff(cell * f)
        bottom[1].set_diff(torch.cat(gates, 2))

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2
