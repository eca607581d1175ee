"""The gradient of a convolution's weights as matrix products over gathered windows.

For each output pixel, X has a row with the k_h·k_w·C inputs under its window, and G has a row with
its num_output diffs:

    ∂W = Gᵀ X        ∂b = Σ rows of G

This is Caffe's own formula (im2col and a GEMM, src/caffe/util/im2col.cpp), here with the channels
last.  Only as many windows are gathered at a time as stay in the processor's cache, so that
gathering costs a few per cent of the product.

The reason is rounding, not speed.  On a CPU the error of PyTorch's own ∂W is several times Caffe's:
against float64, for stage 1's conv1 and four images, 9.0e-7 in norm where Caffe's is 2.2e-7.  On a
GPU cuDNN uses a Winograd transform for 5×5 windows whose ∂W is off by 1e-3 in norm, more than
TF32's: 1.2e-3 for stage 7's conv1 in batches of 4, 2.8e-3 for stage 1's conv2 in batches of 128
(measured on an H200, cuDNN 9); the products are off by less than 1e-6.

With AVX-512 the same exactness comes faster: PyTorch's ∂W errs with the number of images that it
sums over, so it is asked for a few images at a time (_in_parts).
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import avx512

# bytes of windows gathered at a time: a few MB stay in the last-level cache
_BYTES = 2 << 20
# the same on a GPU, where few large products are faster
_BYTES_ON_GPU = 256 << 20
# the BLAS computes this many columns at a time: X is padded with zeros to a multiple of it
_COLUMNS = 8
# with fewer inputs in one row of a window, planes are gathered (_by_planes)
_NARROW = 32
# with this many inputs in one row of a window, and this many output pixels in an image, the windows
# share their gathered rows (_by_rows_of_windows)
_WIDE = 128
_OUTPUTS = 256
# with AVX-512: output pixels, and images, whose gradients PyTorch sums itself (_in_parts)
_PIXELS = 4096
_IMAGES = 16


def suits(images: torch.Tensor, kernel: tuple[int, ...], padded: bool) -> bool:
    """Whether to use ``weight_and_bias_diff``, by shapes, device and the processor's vectors alone.

    Nothing measured may decide it: the same net must round in the same way every time.  With
    AVX-512 padded images are copied for it, in at most an eighth of the gradient's time.
    """
    if images.dtype != torch.float32 or images.dim() != 4:
        return False
    if images.device.type == "cpu":
        return not padded or avx512.available()
    return kernel == (5, 5)


def weight_and_bias_diff(
    images: torch.Tensor, diff: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """∂W (O×C×k_h×k_w) and ∂b (O) of a convolution without padding, dilation or groups.

    ``images`` is N×C×H×W; ``diff``, the top's, is N×O×h×w.  Both are copied unless their channels
    are last in memory.
    """
    g = diff.permute(0, 2, 3, 1).contiguous()
    _, height, width, outputs = g.shape
    channels = images.shape[1]
    row = kernel[1] * channels
    on_cpu = images.device.type == "cpu"
    if on_cpu and avx512.available():
        images = images.contiguous(memory_format=torch.channels_last)
        return _in_parts(images, g.permute(0, 3, 1, 2), kernel, stride), g.view(-1, outputs).sum(0)
    if on_cpu and row < _NARROW:
        return _by_planes(images.contiguous(), g, kernel, stride)
    bias_diff = g.view(-1, outputs).sum(0)
    x = images.permute(0, 2, 3, 1).contiguous()
    if on_cpu and row >= _WIDE and height * width >= _OUTPUTS and stride[0] == 1:
        weight_diff = _by_rows_of_windows(x, g, kernel, stride[1])
    else:
        weight_diff = _by_whole_windows(x, g, kernel, stride)
    weight_diff = weight_diff.view(outputs, *kernel, channels)
    return weight_diff.permute(0, 3, 1, 2).contiguous(), bias_diff


def _in_parts(
    images: torch.Tensor, diff: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    """∂W as the sum of PyTorch's own over a few images at a time.

    Images and diffs have their channels last in memory: else the parts err more.  For batches of
    128 and stage 7's layers the sum is off by 2.3e-7 to 7.5e-7 in norm, Caffe's formula by 2.4e-7
    to 8.6e-7, and PyTorch's ∂W of the whole batch by 4.3e-7 to 5.6e-6.
    """
    outputs, pixels = diff.shape[1], diff.shape[2:].numel()
    at_once = max(1, min(_IMAGES, _PIXELS // pixels))
    weight_diff = images.new_zeros(outputs, images.shape[1], *kernel)
    for inputs, diffs in zip(images.split(at_once), diff.split(at_once)):
        weight_diff += torch.ops.aten.convolution_backward(
            diffs,
            inputs,
            weight_diff,
            None,
            stride,
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            [False, True, False],
        )[1]
    return weight_diff


def _by_whole_windows(
    x: torch.Tensor, g: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    """∂W as O × k_h·k_w·C for N×H×W×C inputs and N×h×w×O diffs."""
    count, height, width, outputs = g.shape
    channels = x.shape[3]
    per_image, per_row, per_pixel, _ = x.stride()
    # the k_w·C inputs in one row of a window lie side by side
    windows = x.as_strided(
        (count, height, width, kernel[0], kernel[1] * channels),
        (per_image, stride[0] * per_row, stride[1] * per_pixel, per_row, 1),
    )
    size = kernel[0] * kernel[1] * channels
    columns = _padded(size)
    budget = _BYTES if x.device.type == "cpu" else _BYTES_ON_GPU
    rows_at_once = max(1, budget // (width * columns * x.element_size()))
    images_at_once = min(count, max(1, rows_at_once // height))
    rows_at_once = min(rows_at_once, height)

    gathered = x.new_zeros(images_at_once * rows_at_once * width, columns)
    weight_diff = x.new_zeros(outputs, columns)
    for first in range(0, count, images_at_once):
        some = slice(first, first + images_at_once)
        for row in range(0, height, rows_at_once):
            band = slice(row, row + rows_at_once)
            part = windows[some, band]
            matrix = gathered[: part.shape[:3].numel()]
            matrix[:, :size].view(part.shape).copy_(part)
            weight_diff.addmm_(g[some, band].reshape(-1, outputs).t(), matrix)
    return weight_diff[:, :size].contiguous()


def _by_rows_of_windows(
    x: torch.Tensor, g: torch.Tensor, kernel: tuple[int, ...], stride: int
) -> torch.Tensor:
    """The same with a vertical stride of 1, where windows share their rows of inputs.

    For all windows of an image, row i of the kernel meets the rows of inputs from i on.  So there
    are k_h products, and a k_h-th of the inputs to gather.
    """
    count, height, width, outputs = g.shape
    size = kernel[1] * x.shape[3]
    columns = _padded(size)
    per_image, per_row, per_pixel, _ = x.stride()
    rows = x.as_strided(
        (count, x.shape[1], width, size), (per_image, per_row, stride * per_pixel, 1)
    )
    gathered = x.new_zeros(x.shape[1], width, columns)
    weight_diff = x.new_zeros(kernel[0], outputs, columns)
    for inputs, diffs in zip(rows, g.view(count, -1, outputs)):
        gathered[..., :size].copy_(inputs)
        for i, row_diff in enumerate(weight_diff):
            row_diff.addmm_(diffs.t(), gathered[i : i + height].view(-1, columns))
    return weight_diff[..., :size].transpose(0, 1).contiguous()


def _by_planes(
    x: torch.Tensor, g: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """∂W as O×C×k_h×k_w, and ∂b, for few channels, as in a first layer; ``x`` is N×C×H×W.

    The rows of a window are short here, but the values at one position of all of an image's windows
    form a part of a plane, whose rows are long: Xᵀ is gathered, row by row.  ∂b is summed image by
    image, while the diffs are in the cache.
    """
    count, height, width, outputs = g.shape
    per_image, per_channel, per_row, per_pixel = x.stride()
    places = x.as_strided(
        (count, x.shape[1], *kernel, height, width),
        (per_image, per_channel, per_row, per_pixel, stride[0] * per_row, stride[1] * per_pixel),
    )
    size = places.shape[1:4].numel()
    gathered = x.new_zeros(_padded(size), height * width)
    found, sums = x.new_zeros(outputs, len(gathered)), x.new_empty(count, outputs)
    for inputs, diffs, image_sums in zip(places, g.view(count, -1, outputs), sums):
        gathered[:size].view(inputs.shape).copy_(inputs)
        found.addmm_(diffs.t(), gathered.t())
        torch.sum(diffs, 0, out=image_sums)
    weight_diff = found[:, :size].reshape(outputs, x.shape[1], *kernel)
    return weight_diff.contiguous(), sums.sum(0)


def _padded(size: int) -> int:
    return -(-size // _COLUMNS) * _COLUMNS
