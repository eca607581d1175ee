"""Which matrix products are fast on this processor: oneDNN's, where it has AVX-512.

PyTorch multiplies matrices by MKL and convolves by oneDNN.  MKL computes with half-wide vectors on
processors that are not Intel's: on an AMD one with AVX-512, two cores multiply at 200 GFLOP/s by
MKL and convolve at 450 by oneDNN.  Then saving products for MKL costs more time than it wins, and
Gᵀ X is faster as the weights' gradient of a convolution by 1×1 windows.
"""

from __future__ import annotations

import functools

import torch


@functools.cache
def available() -> bool:
    """Whether PyTorch computes with AVX-512 here (``ATEN_CPU_CAPABILITY=avx2`` forbids it)."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def add_product(total: torch.Tensor, g: torch.Tensor, x: torch.Tensor) -> None:
    """total += gᵀ x, of P×O and P×K float32 matrices; ``total`` is O×K."""
    if not available() or not g.is_cpu:
        total.addmm_(g.t(), x)
        return
    # With one thread PyTorch gives a convolution by 1×1 windows to MKL unless it is dilated; to
    # such a window dilation makes no difference.
    total += torch.ops.aten.convolution_backward(
        _row_of_pixels(g),
        _row_of_pixels(x),
        total.view(*total.shape, 1, 1),
        None,
        [1, 1],
        [0, 0],
        [1, 2],
        False,
        [0, 0],
        1,
        [False, True, False],
    )[1].view(total.shape)


def _row_of_pixels(matrix: torch.Tensor) -> torch.Tensor:
    """A P×C matrix as one image, a single row of P pixels with C channels, channels last."""
    return matrix[None, None].permute(0, 3, 1, 2)
