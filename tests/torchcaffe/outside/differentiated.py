"""A base for layers that compute one expression, which torch differentiates."""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer


class DifferentiatedLayer(Layer):
    """A subclass defines ``compute``: the top's values from the bottoms' and the parameters'."""

    works_in_place = False

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        with torch.no_grad():
            top[0].set_data(self.compute(*(blob.tensor for blob in [*bottom, *self.blobs])))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        asked = [*propagate_down, *self.param_propagate_down]
        if not any(asked):
            return
        blobs = [*bottom, *self.blobs]
        values = [b.tensor.detach().clone().requires_grad_(a) for b, a in zip(blobs, asked)]
        with torch.enable_grad():
            made = self.compute(*values)
        wanted = [value for value, a in zip(values, asked) if a]
        diffs = iter(torch.autograd.grad(made, wanted, top[0].grad))
        for i, blob in enumerate(blobs):
            if asked[i]:
                give = blob.set_diff if i < len(bottom) else blob.add_diff
                give(next(diffs))
