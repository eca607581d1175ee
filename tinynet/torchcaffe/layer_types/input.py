"""Input: a blob that the script fills (src/caffe/layers/input_layer.cpp)."""

from __future__ import annotations

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Input")
class Input(Layer):
    num_bottom = (0, 0)
    num_top = (1, None)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        shapes = self.param.input_param.shape
        self.require(
            len(shapes) in (0, 1, len(top)),
            f"shape must be given once, once per top, or never; got {len(shapes)} for "
            f"{len(top)} tops",
        )
        if not len(shapes):
            return
        for i, above in enumerate(top):
            above.resize(tuple(shapes[0 if len(shapes) == 1 else i].dim))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """The script sets the shape."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        """The script sets the data."""
