"""PReLU: max(x, 0) + a · min(x, 0) with a learned slope a (src/caffe/layers/prelu_layer.cpp).

One slope per channel (axis 1), or one for all if ``channel_shared``; they start at 0.25.
"""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.neuron_layer import NeuronLayer
from tinynet.torchcaffe.span import Span


@register("PReLU")
class PReLU(NeuronLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.prelu_param
        self._require_channels(bottom)
        quarter = schema.FillerParameter(type="constant", value=0.25)
        shape = () if param.channel_shared else (bottom[0].channels,)
        self.add_blob(shape, param.filler if param.HasField("filler") else quarter)

    def _require_channels(self, bottom: Blobs) -> None:
        shape = bottom[0].shape
        self.require(len(shape) >= 2, f"bottom must have at least 2 axes; got shape {shape}")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        self._require_channels(bottom)
        self._span = Span(self, bottom[0].shape, self.blobs[0].shape, 1)
        super().reshape(bottom, top)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        if top[0] is bottom[0]:
            self._input = bottom[0].data_to_keep()
        slope = self._span.spread(self.blobs[0].tensor)
        top[0].set_data(values.clamp(min=0) + slope * values.clamp(max=0))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        above = top[0].grad
        values = self._input if top[0] is bottom[0] else bottom[0].tensor
        negative = values <= 0
        if self.param_propagate_down[0]:
            self.blobs[0].add_diff(self._span.collect(above * values * negative))
        if propagate_down[0]:
            slope = self._span.spread(self.blobs[0].tensor)
            bottom[0].set_diff(above * ((values > 0) + slope * negative))
