"""Bias: y = x + b, with b broadcast over x (src/caffe/layers/bias_layer.cpp).

b is a second bottom, or a parameter that starts at 0.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.span import Span, spanned_shape


@register("Bias")
class Bias(Layer):
    num_bottom = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.learned = len(bottom) == 1
        if self.learned:
            param = self.param.bias_param
            self.add_blob(spanned_shape(self, bottom[0].shape, param), param.filler)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        bias = self.blobs[0] if self.learned else bottom[1]
        self._span = Span(self, bottom[0].shape, bias.shape, self.param.bias_param.axis)
        top[0].resize(bottom[0].shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        bias = self.blobs[0] if self.learned else bottom[1]
        # Caffe adds a matrix product, which is never −0
        top[0].set_data(bottom[0].tensor + self._span.spread(bias.tensor + 0.0))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        above = top[0].grad
        if self.learned and self.param_propagate_down[0]:
            self.blobs[0].add_diff(self._span.collect(above))
        elif not self.learned and propagate_down[1]:
            bottom[1].set_diff(self._span.collect(above))
        if propagate_down[0] and top[0] is not bottom[0]:
            bottom[0].set_diff(above.clone())
