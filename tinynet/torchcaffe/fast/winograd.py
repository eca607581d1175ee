"""Convolution by 3×3 windows with fewer multiplications, forward and backward.

Two neighbouring outputs y of a correlation of three weights g with four inputs d need four products
instead of six.  On both axes of an image, a tile of 2×2 outputs needs 16 instead of 36 (Winograd's
minimal filtering; for images: A. Lavin and S. Gray, arXiv:1509.09308):

    V = Bᵀ d B      U = G g Gᵀ      M = Σ over channels of U ⊙ V      y = Aᵀ M A

         1  0 -1  0          1   0   0          1  1  1  0
    Bᵀ = 0  1  1  0      G = ½   ½   ½     Aᵀ = 0  1 -1  1
         0 -1  1  0          ½  -½   ½
         0 -1  0  1          0   0   1

M is 16 matrix products, of tiles × channels by channels × outputs, at the speed of the BLAS.
Backward is the same chain in reverse, with every step transposed; neighbouring tiles overlap by two
inputs, whose diffs add up:

    ∂M = A ∂y Aᵀ    ∂U = Vᵀ ∂M    ∂V = ∂M Uᵀ    ∂g = Gᵀ ∂U G    ∂d = B ∂V Bᵀ

The results round no worse than those of the plain formula, whose sums are 9 times as long.
Channels come last in memory, so that every sum below runs along them.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import avx512

# of V and M at a time, so that they stay in the last-level cache
_BYTES = 12 << 20
# the BLAS computes this many columns at a time; with a remainder it is slower than the plain way
_COLUMNS = 8
# with fewer channels the sums cost more than the products save
_CHANNELS_FORWARD = 128
_CHANNELS_BACKWARD = 64
# with fewer tiles, transforming the weights does not pay
_TILES = 1024


def suits(images: torch.Tensor, shape: tuple[int, ...], backward: bool) -> bool:
    """Whether this is the fast way to compute N×O×h×w outputs of ``shape``.

    It depends on nothing measured: the same net rounds the same way every time on one machine.
    With AVX-512 plain convolution is faster (avx512.py).
    """
    if avx512.available() or images.device.type != "cpu" or images.dtype != torch.float32:
        return False
    count, outputs, height, width = shape
    channels = images.shape[1]
    tiles = height // 2 * (width // 2)
    least = _CHANNELS_BACKWARD if backward else _CHANNELS_FORWARD
    return (
        height % 2 == 0
        and width % 2 == 0
        and channels % _COLUMNS == 0
        and outputs % _COLUMNS == 0
        and min(channels, outputs) >= least
        and count * tiles >= _TILES
        and 4 * 16 * tiles * (channels + outputs) <= _BYTES
    )


def forward(images: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The N×O×h×w outputs, of even h and w, for N×C×(h+2)×(w+2) ``images``."""
    x = _channels_last(images)
    tiles = _Tiles(x, weights.shape[0])
    u = _weight_transform(weights)
    out = x.new_empty(x.shape[0], *tiles.size, weights.shape[0])
    halves = x.new_empty(2, 4, *tiles.at_once, tiles.outputs)
    for some in tiles.blocks:
        part, y = x[some], out[some]
        v, m = tiles.transform_inputs(part), tiles.m[:, :, : len(part)]
        torch.bmm(_matrices(v), u, out=_matrices(m))
        if bias is not None:
            m[1, 1] += bias  # a term of all four outputs
        half = halves[:, :, : len(part)]
        _output_transform(m, half[0], half[1])
        for column in range(2):
            _output_transform(half[column], y[:, 0::2, column::2], y[:, 1::2, column::2])
    return out.permute(0, 3, 1, 2)


def backward(
    images: torch.Tensor, diff: torch.Tensor, weights: torch.Tensor, down: bool, learn: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """The diffs of the images (if ``down``), the weights and the bias (if they ``learn``)."""
    x, dy = _channels_last(images), _channels_last(diff)
    tiles = _Tiles(x, weights.shape[0])
    u = _weight_transform(weights)
    below = torch.empty_like(x) if down else None
    u_diff, bias_diff = torch.zeros_like(u), x.new_zeros(tiles.outputs)
    halves = x.new_empty(4, *tiles.at_once[:2], tiles.size[1], tiles.outputs)
    for some in tiles.blocks:
        part = dy[some]
        m, half = tiles.m[:, :, : len(part)], halves[:, : len(part)]
        _output_transform_backward(part[:, 0::2], part[:, 1::2], half)
        _output_transform_backward(half[..., 0::2, :], half[..., 1::2, :], m)
        if learn:
            v = tiles.transform_inputs(x[some])
            u_diff.baddbmm_(_matrices(v).transpose(1, 2), _matrices(m))
            bias_diff += m[1, 1].sum((0, 1, 2))
        if below is not None:
            v = tiles.v[:, :, : len(part)]
            torch.bmm(_matrices(m), u.transpose(1, 2), out=_matrices(v))
            tiles.write_inputs_diff(below[some])
    return (
        None if below is None else below.permute(0, 3, 1, 2),
        _weight_transform_backward(u_diff) if learn else None,
        bias_diff if learn else None,
    )


class _Tiles:
    """The tiles of N×H×W×C images, a few images at a time, and memory for V and M.

    ``v`` and ``m`` are 4 × 4 × images × rows of tiles × tiles in a row × C or O.  The first axis
    counts the products along a row, the second those along a column.
    """

    def __init__(self, x: torch.Tensor, outputs: int) -> None:
        count, height, width, channels = x.shape
        self.outputs = outputs
        self.size = (height - 2, width - 2)
        rows, columns = height // 2 - 1, width // 2 - 1
        per_image = 16 * rows * columns * (channels + outputs) * x.element_size()
        images = max(1, min(count, _BYTES // per_image))
        self.at_once = (images, rows, columns)
        self.blocks = [slice(first, first + images) for first in range(0, count, images)]
        self.v = x.new_empty(4, 4, *self.at_once, channels)
        self.m = x.new_empty(4, 4, *self.at_once, outputs)
        self._half = x.new_empty(4, images, rows, width, channels)

    def transform_inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Compute V = Bᵀ d B of every tile of a few images, in ``v``."""
        v, half = self.v[:, :, : len(x)], self._half[:, : len(x)]
        _input_transform(x[:, 0::2], x[:, 1::2], half, 1)
        _input_transform(half[..., 0::2, :], half[..., 1::2, :], v, -2)
        return v

    def write_inputs_diff(self, below: torch.Tensor) -> None:
        """Write to ``below`` the sums of the diffs B ∂V Bᵀ of all tiles in ``v``."""
        v, half = self.v[:, :, : len(below)], self._half[:, : len(below)]
        _input_transform_backward(v, half[..., 0::2, :], half[..., 1::2, :], -2)
        _input_transform_backward(half, below[:, 0::2], below[:, 1::2], 1)


def _input_transform(even: torch.Tensor, odd: torch.Tensor, out: torch.Tensor, axis: int) -> None:
    """out = Bᵀ d; ``even`` holds d₀ and, one further along ``axis``, d₂; ``odd`` d₁ and d₃."""
    tiles = even.shape[axis] - 1
    d0, d2 = even.narrow(axis, 0, tiles), even.narrow(axis, 1, tiles)
    d1, d3 = odd.narrow(axis, 0, tiles), odd.narrow(axis, 1, tiles)
    torch.sub(d0, d2, out=out[0])
    torch.add(d1, d2, out=out[1])
    torch.sub(d2, d1, out=out[2])
    torch.sub(d3, d1, out=out[3])


def _input_transform_backward(
    v: torch.Tensor, even: torch.Tensor, odd: torch.Tensor, axis: int
) -> None:
    """d = B v, summed over all tiles, written where ``_input_transform`` reads d."""
    tiles = even.shape[axis] - 1
    d0, d2 = even.narrow(axis, 0, tiles), even.narrow(axis, 1, tiles)
    d1, d3 = odd.narrow(axis, 0, tiles), odd.narrow(axis, 1, tiles)
    torch.add(v[1], v[2], out=d2)
    d2 -= v[0]
    even.narrow(axis, 0, 1).zero_()
    d0 += v[0]
    torch.sub(v[1], v[2], out=d1)
    d1 -= v[3]
    odd.narrow(axis, tiles, 1).zero_()
    d3 += v[3]


def _output_transform(m: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    """(first, second) = Aᵀ m."""
    torch.add(m[0], m[1], out=first)
    first += m[2]
    torch.sub(m[1], m[2], out=second)
    second += m[3]


def _output_transform_backward(first: torch.Tensor, second: torch.Tensor, m: torch.Tensor) -> None:
    """m = A (first, second)."""
    m[0].copy_(first)
    torch.add(first, second, out=m[1])
    torch.sub(first, second, out=m[2])
    m[3].copy_(second)


def _weight_transform(weights: torch.Tensor) -> torch.Tensor:
    """U = G g Gᵀ as 16×C×O, for O×C×3×3 weights."""
    u = weights.permute(3, 2, 1, 0).contiguous()
    for _ in range(2):
        ends = u[0] + u[2]
        u = torch.stack([u[0], (ends + u[1]) / 2, (ends - u[1]) / 2, u[2]]).transpose(0, 1)
    return u.reshape(16, *u.shape[2:])


def _weight_transform_backward(diff: torch.Tensor) -> torch.Tensor:
    """∂g = Gᵀ ∂U G as O×C×3×3."""
    d = diff.view(4, 4, *diff.shape[1:])
    for _ in range(2):
        ends = (d[1] + d[2]) / 2
        d = torch.stack([d[0] + ends, (d[1] - d[2]) / 2, d[3] + ends]).transpose(0, 1)
    return d.permute(3, 2, 1, 0).contiguous()


def _channels_last(values: torch.Tensor) -> torch.Tensor:
    return values.permute(0, 2, 3, 1).contiguous()


def _matrices(products: torch.Tensor) -> torch.Tensor:
    """16 matrices with one row per tile."""
    return products.view(16, -1, products.shape[-1])
