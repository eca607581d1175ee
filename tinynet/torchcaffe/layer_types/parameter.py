"""Parameter: a top that is itself learned (include/caffe/layers/parameter_layer.hpp).

Top and parameter share data and diff.  So the layers above overwrite the parameter's diff, and
several backward passes do not add up.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Parameter")
class Parameter(Layer):
    num_bottom = (0, 0)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        top[0].resize(self.add_blob(tuple(self.param.parameter_param.shape.dim)).shape)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """The shape never changes."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].share_data(self.blobs[0])
        top[0].share_diff(self.blobs[0])

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        """The diff is shared."""
