"""ConvolutionLayer: base of Convolution and of Deconvolution, which is its transpose.

The axes before ``axis``, the channels' axis, count images; those after it are spatial.  Without
spatial axes both are matrix products.  All pairs of bottom and top share one set of weights.

Source: Caffe's src/caffe/layers/base_conv_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from tinynet.torchcaffe.blob import shaped
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes
from tinynet.torchcaffe.window_columns import ColumnProducts, Diffs, needs_columns, require_window


class ConvolutionLayer(Layer):
    """A subclass states whether it is ``transposed``, and the shapes of its weights and tops.

    A faster implementation than PyTorch's overrides ``convolve`` and ``diffs``.  Windows that
    PyTorch does not support are computed ``by_columns`` in any subclass.
    """

    num_bottom = (1, None)
    num_top = (1, None)
    equal_num_bottom_top = True
    transposed: ClassVar[bool]

    def weight_channels(self) -> tuple[int, int]:
        """The sizes of the weights' first two axes."""
        raise NotImplementedError(f"{type(self).__name__}.weight_channels")

    def out_sizes(self, sizes: Sequence[int]) -> list[int]:
        """The spatial sizes of the top, from those of the bottom."""
        raise NotImplementedError(f"{type(self).__name__}.out_sizes")

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.convolution_param
        axes = len(bottom[0].shape)
        self.axis = self.canonical_axis(param.axis, axes)
        self.spatial = axes - self.axis - 1
        self.window = require_window(self, self.spatial)
        self.channels, self.num_output, self.group = (
            bottom[0].shape[self.axis],
            param.num_output,
            param.group,
        )
        self.require(self.num_output > 0, "num_output must be given and positive")
        self.require(
            self.group > 0
            and self.channels % self.group == 0
            and self.num_output % self.group == 0,
            f"group must divide the channels and num_output; got group {self.group}, "
            f"{self.channels} channels, num_output {self.num_output}",
        )
        # torch needs a spatial axis: kernel 1 on size 1 where there is none
        self._settings = (
            self.window.stride or (1,),
            self.window.pad or (0,),
            self.window.dilation or (1,),
            self.transposed,
            [0] * max(1, self.spatial),
            self.group,
        )
        self.add_blob((*self.weight_channels(), *self.window.kernel), param.weight_filler)
        if param.bias_term:
            self.add_blob((self.num_output,), param.bias_filler)

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        first = self.axis + 1
        self.require(
            len(shape) == self.spatial + first and shape[self.axis] == self.channels,
            f"bottom must have {self.channels} channels and {self.spatial} spatial axes; "
            f"got shape {shape}",
        )
        self.require(
            all(below.shape == shape for below in bottom),
            f"bottoms must have the same shape; got {', '.join(str(b.shape) for b in bottom)}",
        )
        out = self.out_sizes(shape[first:])
        self.require(
            min(out, default=1) > 0,
            f"kernel {list(self.window.kernel)} does not fit into the padded bottom {shape}",
        )
        windowed = out if self.transposed else shape[first:]
        self.by_columns = (
            ColumnProducts(self.window, windowed, self.group, self.transposed)
            if needs_columns(self.window, windowed)
            else None
        )
        for above in top:
            above.resize((*shape[: self.axis], self.num_output, *out))

    def _images(self, values: torch.Tensor, channels: int) -> torch.Tensor:
        """``values`` as images × channels × at least one spatial axis, in the net's precision."""
        values = self.cast(values)
        if self.axis == 1 and self.spatial:
            return values
        return values.reshape(-1, channels, *(values.shape[self.axis + 1 :] or (1,)))

    def weights(self) -> torch.Tensor:
        weights = self.cast(self.blobs[0].tensor)
        return weights if self.spatial else weights[..., None]

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        bias = self.cast(self.blobs[1].tensor) if len(self.blobs) > 1 else None
        for below, above in zip(bottom, top):
            images = self._images(below.computed, self.channels)
            if self.by_columns:
                out = self.by_columns.convolve(images, self.weights(), bias)
            else:
                out = self.convolve(images, bias, above.shape)
            above.set_data(shaped(out, above.shape))

    def convolve(
        self, images: torch.Tensor, bias: torch.Tensor | None, out_shape: tuple[int, ...]
    ) -> torch.Tensor:
        """The top of ``images``, of ``out_shape`` or with the same elements."""
        return torch.convolution(images, self.weights(), bias, *self._settings)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        for below, above, down in zip(bottom, top, propagate_down):
            images = self._images(below.computed, self.channels)
            diff = self._images(above.computed_diff, self.num_output)
            if self.by_columns:
                below_diff, *params_diff = self.by_columns.diffs(images, diff, self.weights())
            else:
                below_diff, *params_diff = self.diffs(images, diff, down)
            for blob, learns, param_diff in zip(self.blobs, self.params_learn(), params_diff):
                if learns:
                    assert param_diff is not None
                    blob.add_diff(shaped(param_diff, blob.shape))
            if down:
                assert below_diff is not None
                below.set_diff(shaped(below_diff, below.shape))

    def params_learn(self) -> list[bool]:
        """Whether the weights and the bias learn; a missing bias does not."""
        return [*self.param_propagate_down, False][:2]

    def diffs(self, images: torch.Tensor, diff: torch.Tensor, down: bool) -> Diffs:
        """The diffs of the images (if ``down``), weights and bias; None if not wanted."""
        return self.plain_diffs(images, diff, [down, *self.params_learn()])

    def plain_diffs(self, images: torch.Tensor, diff: torch.Tensor, wanted: list[bool]) -> Diffs:
        """PyTorch's diffs of images, weights and bias, those that are ``wanted``."""
        found: Diffs = torch.ops.aten.convolution_backward(
            diff,
            images,
            self.weights(),
            [self.num_output] if len(self.blobs) > 1 else None,
            *self._settings,
            wanted,
        )
        return found
