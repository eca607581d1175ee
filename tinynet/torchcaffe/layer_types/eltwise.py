"""Eltwise: the sum (with coefficients), product or maximum of blobs of one shape.

Source: Caffe's src/caffe/layers/eltwise_layer.cpp.  The gradient of a maximum goes to one bottom:
the last one that was greater than all before it; between the first two, the second wins a tie.

In place (the top is one of the bottoms) Caffe reads data and diff that it has already overwritten:
a sum, which begins by setting the top to 0, loses that bottom.  Here the same steps in the same
order on the same memory give the same result.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.affine import scaled
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.layer import Blobs, Layer, register

_PROD = schema.EltwiseParameter.PROD
_SUM = schema.EltwiseParameter.SUM
_LOWEST = torch.finfo(torch.float32).min


@register("Eltwise")
class Eltwise(Layer):
    num_bottom = (2, None)

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
        in_place = any(below is top[0] for below in bottom)
        out = top[0].tensor if in_place else torch.empty_like(bottom[0].tensor)
        values = [below.tensor for below in bottom]
        if self.operation == _PROD:
            torch.mul(values[0], values[1], out=out)
            for value in values[2:]:
                out.mul_(value)
        elif self.operation == _SUM:
            out.zero_()
            for value, coefficient in zip(values, self.coefficients):
                if coefficient:  # 0 ignores even infinities, as in BLAS
                    out.add_(value, alpha=coefficient)
        else:
            if in_place:
                out.fill_(_LOWEST)
            self._forward_max(values, out)
        top[0].set_data(out)

    def _forward_max(self, values: list[torch.Tensor], out: torch.Tensor) -> None:
        first = values[0] > values[1]
        torch.where(first, values[0], values[1], out=out)
        winner = (~first).to(torch.int32)
        for i, value in enumerate(values[2:], 2):
            better = value > out
            torch.where(better, value, out, out=out)
            winner.masked_fill_(better, i)
        self._winner = winner

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        above = top[0].grad
        for i, below in enumerate(bottom):
            if not propagate_down[i]:
                continue
            out = above if below is top[0] else torch.empty_like(above)
            if self.operation == _PROD:
                self._slope_of_product(i, top[0], bottom, out)
                out.mul_(above)
            elif self.operation == _SUM:
                out.copy_(scaled(above, self.coefficients[i]))
            else:
                nothing = above.new_zeros(())
                torch.where(self._winner == i, above, nothing, out=out).add_(0.0)  # −0 + 0 is 0
            below.set_diff(out)

    def _slope_of_product(self, i: int, top: Blob, bottom: Blobs, out: torch.Tensor) -> None:
        """∂y/∂x_i of a product; unless ``stable``, by division, which fails where x_i is 0."""
        if not self.stable:
            torch.div(top.tensor, bottom[i].tensor, out=out)
            return
        first, *others = (below for j, below in enumerate(bottom) if j != i)
        out.copy_(first.tensor)
        for below in others:
            out.mul_(below.tensor)
