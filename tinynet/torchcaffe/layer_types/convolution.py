"""Convolution (src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp).

    output size = ⌊(H + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1

Weights are num_output × channels/group × kernel…; one set serves all pairs of bottom and top.
Axes before ``axis``, that of the channels, count images; those after it are spatial.  Without
spatial axes this is a matrix product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from tinynet.torchcaffe.convolution import window_products, winograd, winograd_rows
from tinynet.torchcaffe.layer import Blobs, Layer, register

_NAMED_AXES = ("h", "w")


@register("Convolution")
class Convolution(Layer):
    num_bottom = (1, None)
    num_top = (1, None)
    equal_num_bottom_top = True

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.convolution_param
        axes = len(bottom[0].shape)
        self.axis = self.canonical_axis(param.axis, axes)
        self.spatial = axes - self.axis - 1
        self.require(
            self.spatial <= 3,
            f"this engine convolves over at most 3 spatial axes; got axis {param.axis} and shape "
            f"{bottom[0].shape}",
        )
        self.kernel = self._per_axis(param, "kernel", "kernel_size", None)
        self.stride = self._per_axis(param, "stride", "stride", 1)
        self.pad = self._per_axis(param, "pad", "pad", 0)
        self.dilation = self._per_axis(param, "dilation", "dilation", 1)
        self.require(all(self.kernel), f"kernel_size must be nonzero; got {self.kernel}")
        self.require(all(self.stride), f"stride must be nonzero; got {self.stride}")
        self.require(all(self.dilation), f"dilation must be nonzero; got {self.dilation}")
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
        shape = (self.num_output, self.channels // self.group, *self.kernel)
        # torch wants a spatial axis: kernel 1 on size 1 where there is none
        self._settings = (
            self.stride or [1],
            self.pad or [0],
            self.dilation or [1],
            False,
            [0] * max(1, self.spatial),
            self.group,
        )
        # a convolution whose windows are blocks of the padded image
        self._blocks = (
            self.spatial == 2
            and self.axis == 1
            and self.group == 1
            and all(value == 1 for value in self.dilation)
        )
        # one that begins at every pixel of the image itself
        self._dense = self._blocks and not any(self.pad) and self.stride == [1, 1]
        self._small = self._dense and self.kernel == [3, 3]
        self.add_blob(shape, param.weight_filler)
        if param.bias_term:
            self.add_blob((self.num_output,), param.bias_filler)

    def _per_axis(self, param: Any, word: str, field: str, default: int | None) -> list[int]:
        """One value per spatial axis, from ``field`` (once, or per axis) or WORD_h and WORD_w."""
        values = list(getattr(param, field))
        names = [f"{word}_{axis}" for axis in _NAMED_AXES]
        if word != "dilation" and any(param.HasField(name) for name in names):
            self.require(
                self.spatial == 2, f"{names[0]} and {names[1]} are for 2-D convolution only"
            )
            self.require(not values, f"give either {field} or {names[0]}/{names[1]}; not both")
            return [getattr(param, name) for name in names]
        if not values and default is not None:
            values = [default]
        self.require(
            len(values) in (1, self.spatial),
            f"{field} must be given once, or once per spatial axis; got {len(values)} "
            f"for {self.spatial} axes",
        )
        return values * self.spatial if len(values) == 1 else values

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
        out = [
            (size + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
            for size, kernel, stride, pad, dilation in zip(
                shape[first:], self.kernel, self.stride, self.pad, self.dilation
            )
        ]
        self.require(
            min(out, default=1) > 0,
            f"kernel {self.kernel} does not fit into the padded bottom {shape}",
        )
        for above in top:
            above.resize((*shape[: self.axis], self.num_output, *out))

    def _images(self, values: torch.Tensor, channels: int) -> torch.Tensor:
        """``values``, in our arithmetic, as images × channels × at least one spatial axis."""
        values = self.cast(values)
        if self.axis == 1 and self.spatial:
            return values
        return values.reshape(-1, channels, *(values.shape[self.axis + 1 :] or (1,)))

    def _weights(self) -> torch.Tensor:
        weights = self.cast(self.blobs[0].tensor)
        return weights if self.spatial else weights[..., None]

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        bias = self.cast(self.blobs[1].tensor) if len(self.blobs) > 1 else None
        for below, above in zip(bottom, top):
            images = self._images(below.computed, self.channels)
            if images.dim() == 4:
                images = images.contiguous(memory_format=self._order(images))
            if self._small and winograd.suits(images, above.shape, backward=False):
                out = winograd.forward(images, self._weights(), bias)
            elif self._dense and winograd_rows.suits(images, above.shape, self.kernel):
                out = winograd_rows.forward(images, self._weights(), bias)
            else:
                out = torch.convolution(images, self._weights(), bias, *self._settings)
            above.set_data(out.reshape(above.shape))

    def _order(self, images: torch.Tensor) -> torch.memory_format:
        """The faster order in memory.

        Every layer above keeps to it, so that only the images themselves, which a script wrote,
        are ever copied.  Channels last; but cuDNN's float32 kernels want them first, and turn the
        others around and back: stage 7's convolutions take 5.4 ms that way, and 4.4 this way (H200,
        128 images).
        """
        if images.device.type == "cpu" or not self._float32:
            return torch.channels_last
        return torch.contiguous_format

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        for below, above, down in zip(bottom, top, propagate_down):
            images = self._images(below.computed, self.channels)
            diff = self._images(above.computed_diff, self.num_output)
            below_diff, *params_diff = self._diffs(images, diff, down)
            for blob, learns, param_diff in zip(self.blobs, self._params_learn(), params_diff):
                if learns:
                    assert param_diff is not None
                    blob.add_diff(param_diff.reshape(blob.shape))
            if down:
                assert below_diff is not None
                below.set_diff(below_diff.reshape(below.shape))

    def _params_learn(self) -> list[bool]:
        """Whether weights and bias learn; a bias that is not there does not."""
        return [*self.param_propagate_down, False][:2]

    def _diffs(
        self, images: torch.Tensor, diff: torch.Tensor, down: bool
    ) -> tuple[torch.Tensor | None, ...]:
        """The diffs of the images, weights and bias, those that are wanted, the fastest way."""
        learn = any(self._params_learn())
        if self._small and winograd.suits(images, tuple(diff.shape), backward=True):
            return winograd.backward(images, diff, self._weights(), down, learn)
        if self._dense and winograd_rows.suits(images, tuple(diff.shape), self.kernel):
            return winograd_rows.backward(images, diff, self._weights(), down, learn)
        if (
            learn
            and self._blocks
            and self._float32
            and window_products.suits(images, self.kernel, any(self.pad))
        ):
            below_diff = (
                self._convolution_backward(images, diff, [True, False, False])[0] if down else None
            )
            if any(self.pad):
                images = pad(images, (self.pad[1], self.pad[1], self.pad[0], self.pad[0]))
            return below_diff, *window_products.weight_and_bias_diff(
                images, diff, self.kernel, self.stride
            )
        return self._convolution_backward(images, diff, [down, *self._params_learn()])

    def _convolution_backward(
        self, images: torch.Tensor, diff: torch.Tensor, wanted: list[bool]
    ) -> tuple[torch.Tensor | None, ...]:
        found: tuple[torch.Tensor | None, ...] = torch.ops.aten.convolution_backward(
            diff,
            images,
            self._weights(),
            [self.num_output] if len(self.blobs) > 1 else None,
            *self._settings,
            wanted,
        )
        return found
