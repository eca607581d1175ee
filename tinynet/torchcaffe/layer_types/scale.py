"""Scale: y = x · s (+ b), with s broadcast over x (src/caffe/layers/scale_layer.cpp).

s is a second bottom, or a parameter that starts at 1.  With ``bias_term`` there is a bias, which is
always a parameter, of the shape of s.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.span import Span, spanned_shape


@register("Scale")
class Scale(Layer):
    num_bottom = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.scale_param
        self.learned = len(bottom) == 1
        if self.learned:
            shape = spanned_shape(self, bottom[0].shape, param)
            one = schema.FillerParameter(type="constant", value=1)
            self.add_blob(shape, param.filler if param.HasField("filler") else one)
        else:
            shape = bottom[1].shape
        if param.bias_term:
            self.add_blob(shape, param.bias_filler)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        scale = self.blobs[0] if self.learned else bottom[1]
        self._span = Span(self, bottom[0].shape, scale.shape, self.param.scale_param.axis)
        top[0].resize(bottom[0].shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if top[0] is bottom[0]:
            self._input = bottom[0].data_to_keep()
        scale = self._span.spread((self.blobs[0] if self.learned else bottom[1]).tensor)
        if self.param.scale_param.bias_term:
            bias = self._span.spread(self.blobs[-1].tensor)
            if _has_zero(scale):
                top[0].set_data(_scaled(bottom[0].tensor, scale) + bias)
            else:
                top[0].set_data(torch.addcmul(bias, bottom[0].tensor, scale))
        else:
            top[0].set_data(_scaled(bottom[0].tensor, scale))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        span, above = self._span, top[0].grad
        scale = self.blobs[0] if self.learned else bottom[1]
        in_place = top[0] is bottom[0]
        if self.param.scale_param.bias_term and self.param_propagate_down[-1]:
            self.blobs[-1].add_diff(span.collect(above))
        product = None
        if self.param_propagate_down[0] if self.learned else propagate_down[1]:
            product = above * (self._input if in_place else bottom[0].tensor)
            # Where nothing is summed over outer axes, Caffe overwrites the diff instead of adding
            # to it, so that iter_size and sharing by name see the last diff only.
            overwrites = span.outer == 1 and (span.size > 1 or span.inner == 1)
            one_each = product.numel() == scale.count  # summing would turn −0 into 0
            collected = product.reshape(scale.shape) if one_each else span.collect(product)
            if self.learned and not overwrites:
                scale.add_diff(collected)
            else:
                scale.set_diff(collected)
        if propagate_down[0]:
            bottom[0].set_diff(_scaled(above, span.spread(scale.tensor)))
        elif product is not None and not in_place and product.numel() != scale.count:
            bottom[0].set_diff(product)  # Caffe uses it as scratch space, which scripts can see


def _has_zero(scale: torch.Tensor) -> bool:
    """Whether a scale is 0; on a CPU only, where Caffe calls BLAS's scal."""
    return scale.device.type == "cpu" and bool((scale == 0).any())


def _scaled(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """``values`` · scale, where a scale of 0 gives 0 for every value, as OpenBLAS's scal does."""
    product = values * scale
    return product.masked_fill_(scale == 0, 0) if _has_zero(scale) else product
