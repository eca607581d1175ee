"""Eltwise: the sum (with coefficients), product or maximum of blobs of one shape.

Source: Caffe's src/caffe/layers/eltwise_layer.cpp.  The gradient of a maximum goes to one bottom:
the last one that was greater than what came before it, where of the first two the second wins a
tie.
"""

from __future__ import annotations

import torch

from tinynet.prototxt import schema
from tinynet.torchcaffe.layer import Blobs, Layer, register

_PROD = schema.EltwiseParameter.PROD
_SUM = schema.EltwiseParameter.SUM


@register("Eltwise")
class Eltwise(Layer):
    num_bottom = (2, None)
    # Caffe lets it, and computes from what it has overwritten
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.eltwise_param
        self.operation = param.operation
        given = list(param.coeff)
        self.require(
            len(given) in (0, len(bottom)),
            f"coeff must be given once per bottom, or never; got {len(given)} for "
            f"{len(bottom)} bottoms",
        )
        self.require(not (given and self.operation == _PROD), "a product takes no coeff")
        self.coefficients = given or [1.0] * len(bottom)
        self.stable = param.stable_prod_grad

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shapes = [below.shape for below in bottom]
        self.require(
            all(shape == shapes[0] for shape in shapes),
            f"bottoms must have the same shape; got {', '.join(map(str, shapes))}",
        )
        top[0].resize(shapes[0])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = [below.tensor for below in bottom]
        if self.operation == _PROD:
            top[0].set_data(_product(values))
        elif self.operation == _SUM:
            total = values[0] * self.coefficients[0]
            for value, coefficient in zip(values[1:], self.coefficients[1:]):
                total.add_(value, alpha=coefficient)
            top[0].set_data(total)
        else:
            self._forward_max(values, top)

    def _forward_max(self, values: list[torch.Tensor], top: Blobs) -> None:
        first = values[0] > values[1]
        best = torch.where(first, values[0], values[1])
        winner = (~first).to(torch.int32)
        for i, value in enumerate(values[2:], 2):
            better = value > best
            best = torch.where(better, value, best)
            winner.masked_fill_(better, i)
        self._winner = winner
        top[0].set_data(best)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        above = top[0].grad
        for i, below in enumerate(bottom):
            if not propagate_down[i]:
                continue
            if self.operation == _PROD:
                below.set_diff(self._other_factors(i, top, bottom) * above)
            elif self.operation == _SUM:
                below.set_diff(above * self.coefficients[i])
            else:
                below.set_diff(above * (self._winner == i))

    def _other_factors(self, i: int, top: Blobs, bottom: Blobs) -> torch.Tensor:
        """∂y/∂x_i of a product; by division, and so not where x_i is 0, unless ``stable``."""
        if self.stable:
            return _product([below.tensor for j, below in enumerate(bottom) if j != i])
        return top[0].tensor / bottom[i].tensor


def _product(values: list[torch.Tensor]) -> torch.Tensor:
    product = values[0]
    for value in values[1:]:
        product = product * value
    return product
