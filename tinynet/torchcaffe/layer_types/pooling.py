"""Pooling: MAX, AVE and STOCHASTIC (src/caffe/layers/pooling_layer.cpp).

    output size = ⌈(H + 2·pad − kernel) / stride⌉ + 1

and with padding on either axis the last window is dropped if it would start at or beyond H + pad.
MAX ignores the padding; AVE divides by the size of the window clipped to the padded image.  The
first maximum in scan order gets the gradient.  STOCHASTIC is in stochastic_pooling.py.

On a CPU MAX ignores NaN, as Caffe's comparison does.  A window of nothing but NaN and −∞ gives
−FLT_MAX and, in the mask, −1; its diff is dropped (Caffe writes it before the channel's memory).
On a GPU NaN is propagated, as by cuDNN, which Caffe uses there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import pad

from tinynet.caffeformat import schema
from tinynet.torchcaffe import stochastic_pooling
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register

_MAX = schema.PoolingParameter.MAX
_AVE = schema.PoolingParameter.AVE
_STOCHASTIC = schema.PoolingParameter.STOCHASTIC


def _pair(param: schema.PoolingParameter, both: str, height: str, width: str) -> tuple[int, int]:
    if schema.is_set(param, height) or schema.is_set(param, width):
        return getattr(param, height), getattr(param, width)
    return getattr(param, both), getattr(param, both)


@register("Pooling")
class Pooling(Layer):
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.pooling_param
        self.method = param.pool
        self.require(len(top) == 1 or self.method == _MAX, "a second top needs pool: MAX")
        self.global_pooling = param.global_pooling
        for both in ("kernel_size", "pad", "stride"):
            word = both.replace("_size", "")
            single = schema.is_set(param, both)
            named = [schema.is_set(param, f"{word}_{axis}") for axis in "hw"]
            self.require(
                not (single and any(named)) and named[0] == named[1],
                f"give either {both}, or both {word}_h and {word}_w",
            )
        self.pad = _pair(param, "pad", "pad_h", "pad_w")
        self.stride = _pair(param, "stride", "stride_h", "stride_w")
        self.kernel = _pair(param, "kernel_size", "kernel_h", "kernel_w")
        self.require(min(self.stride) > 0, f"stride must be nonzero; got {self.stride}")
        if self.global_pooling:
            self.require(
                self.kernel == (0, 0) and self.pad == (0, 0) and self.stride == (1, 1),
                "global_pooling goes with no kernel_size, pad 0 and stride 1",
            )
            return
        self.require(
            min(self.kernel) > 0, "kernel_size must be given and nonzero (or global_pooling)"
        )
        self.require(
            self.pad[0] < self.kernel[0] and self.pad[1] < self.kernel[1],
            f"pad must be less than the kernel; got {self.pad} and {self.kernel}",
        )
        self.require(
            self.method != _STOCHASTIC or self.pad == (0, 0),
            f"a pad is for MAX and AVE, not for STOCHASTIC; got {self.pad}",
        )

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(len(shape) == 4, f"bottom must have 4 axes (N, C, H, W); got shape {shape}")
        if self.global_pooling:
            self.kernel = (shape[2], shape[3])
        floor = self.param.pooling_param.round_mode == schema.PoolingParameter.FLOOR
        out = []
        for size, kernel, stride, padding in zip(shape[2:], self.kernel, self.stride, self.pad):
            span = size + 2 * padding - kernel
            count = (span // stride if floor else -(-span // stride)) + 1
            # rounded up, a kernel may reach beyond the padded bottom by less than a stride
            self.require(count > 0, f"kernel {self.kernel} does not fit into bottom {shape}")
            if any(self.pad) and (count - 1) * stride >= size + padding:
                count -= 1
            out.append(count)
        self.out = (out[0], out[1])
        self._windows = self._pytorch_windows(shape, floor)
        for above in top:
            above.resize((shape[0], shape[1], *out))
        # rows and columns to add (or, if negative, to cut off) at the end so that the windows fit
        self.end_pad = tuple(
            (count - 1) * stride + kernel - size - padding
            for count, stride, kernel, size, padding in zip(
                out, self.stride, self.kernel, shape[2:], self.pad
            )
        )

    def _pytorch_windows(self, shape: tuple[int, ...], floor: bool) -> tuple[Any, ...] | None:
        """The arguments that give PyTorch's max pooling these windows; None if there are none.

        PyTorch drops a last window that would start beyond the bottom even without padding, and
        refuses padding of more than half a kernel.
        """
        for size, kernel, stride, padding, count in zip(
            shape[2:], self.kernel, self.stride, self.pad, self.out
        ):
            if 2 * padding > kernel or (count - 1) * stride >= size + padding:
                return None
        return [*self.kernel], [*self.stride], [*self.pad], [1, 1], not floor

    def _padded(self, values: torch.Tensor, filling: float) -> torch.Tensor:
        """The bottom padded, or cut, so that all windows fit exactly."""
        (top, left), (bottom, right) = self.pad, self.end_pad
        if not (top or left or bottom or right):
            return values
        return pad(values, (left, right, top, bottom), value=filling)

    def _unpadded(self, diff: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """The gradient of ``_padded``: without the padding, and zero where values were cut off."""
        (top, left), (bottom, right) = self.pad, self.end_pad
        if not (top or left or bottom or right):
            return diff
        return pad(diff, (-left, -right, -top, -bottom)).reshape(shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].computed
        if self.method == _AVE:
            values = bottom[0].tensor
            sums = torch.nn.functional.avg_pool2d(
                self._padded(values, 0.0), self.kernel, self.stride, divisor_override=1
            )
            top[0].set_data(sums / self._window_sizes(values))
            return
        if self.method == _STOCHASTIC:
            top[0].set_data(self._pool_stochastically(bottom[0].tensor))
            return
        lowest = torch.finfo(values.dtype).min
        out = self._pool_maximum(values, lowest)
        self._empty: torch.Tensor | None = None
        # the sum tells whether any value is NaN or infinite (on a GPU that would mean waiting)
        if out.device.type == "cpu" and not math.isfinite(float(out.sum())):
            # Caffe's maximum starts at -FLT_MAX, and only a greater value replaces it: NaN never
            out = self._pool_maximum(torch.where(values > lowest, values, lowest), lowest)
            self._empty = out == lowest
        top[0].set_data(out)
        if len(top) > 1:
            mask = self._indices
            if not self._windows:  # the indices are those of the padded bottom
                width = self._input.shape[3]
                row, column = mask // width - self.pad[0], mask % width - self.pad[1]
                mask = row * values.shape[3] + column
            if self._empty is not None:
                mask = torch.where(self._empty, -1, mask)
            top[1].set_data(mask.to(torch.float32))

    def _pool_maximum(self, values: torch.Tensor, lowest: float) -> torch.Tensor:
        self._input = values if self._windows else self._padded(values, lowest)
        out, self._indices = torch.ops.aten.max_pool2d_with_indices(
            self._input, *(self._windows or (self.kernel, self.stride))
        )
        return out

    def _pool_stochastically(self, values: torch.Tensor) -> torch.Tensor:
        (height, width), (down, right) = self.kernel, self.stride
        windows = self._padded(values, 0.0).unfold(2, height, down).unfold(3, width, right)
        windows = windows.flatten(4)
        if self.phase == schema.TRAIN:
            threshold = stochastic_pooling.uniform(tuple(windows.shape[:-1]), values.device)
            pooled, self._slope = stochastic_pooling.draw(windows, threshold.to(values.dtype))
        else:
            pooled, self._slope = stochastic_pooling.average(windows)
        return pooled

    def _stochastic_diff(self, above: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
        """The diff of ``padded``: each window's diff times the slopes of its values."""
        spread = (self._slope * above[..., None]).flatten(2, 3).transpose(2, 3)
        return torch.nn.functional.fold(
            spread.flatten(1, 2), padded.shape[2:], self.kernel, stride=self.stride
        )

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        if self.method == _AVE:
            below = bottom[0].tensor
            padded = self._padded(below, 0.0)
            diff = torch.ops.aten.avg_pool2d_backward(
                top[0].grad / self._window_sizes(below),
                padded,
                list(self.kernel),
                list(self.stride),
                [0, 0],
                False,
                True,
                1,
            )
        elif self.method == _STOCHASTIC:
            padded = self._padded(bottom[0].tensor, 0.0)
            diff = self._stochastic_diff(top[0].grad, padded)
        else:
            windows = self._windows or (self.kernel, self.stride, [0, 0], [1, 1], False)
            above = top[0].computed_diff.to(self._input.dtype)
            if self._empty is not None:
                above = torch.where(self._empty, 0, above)
            diff = torch.ops.aten.max_pool2d_with_indices_backward(
                above, self._input, *windows, self._indices
            )
            if self._windows:
                bottom[0].set_diff(diff)
                return
        bottom[0].set_diff(self._unpadded(diff, bottom[0].shape))

    def _window_sizes(self, values: torch.Tensor) -> torch.Tensor:
        """The size of each window within the image and its padding, shape (h, w)."""
        sizes = []
        for size, kernel, stride, padding, count in zip(
            values.shape[2:], self.kernel, self.stride, self.pad, self.out
        ):
            start = torch.arange(count, device=values.device) * stride - padding
            end = torch.clamp(start + kernel, max=size + padding)
            sizes.append((end - start).to(values.dtype))
        return sizes[0][:, None] * sizes[1][None, :]
