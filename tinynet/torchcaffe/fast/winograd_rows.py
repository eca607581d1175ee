"""Convolution by windows of five rows with fewer multiplications, forward and backward.

Two outputs y₀ and y₁, one above the other, depend on six rows of inputs d and five rows of weights
g.  Three of the five need four products of rows instead of six (the filtering of winograd.py, along
one axis only), the other two need three instead of four: seven products in all instead of ten.

    m₀ = (d₀ − d₂) g₀                +  (d₃ − d₄) g₃
    m₁ = (d₁ + d₂) (g₀ + g₁ + g₂)/2  +  d₄ (g₃ + g₄)          y₀ = m₀ + m₁ + m₂
    m₂ = (d₂ − d₁) (g₀ − g₁ + g₂)/2                           y₁ = m₁ − m₂ + m₃
    m₃ = (d₃ − d₁) g₂                +  (d₅ − d₄) g₄

A product of two rows is a convolution along the row; the two products of one m are a single one, of
twice the channels.  Backward is the same chain in reverse, with every step transposed.

Six products suffice for two outputs of five weights, and 36 instead of 100 for 2×2 outputs of 5×5,
but then the gradients round two to three times worse than the plain formula's.  These do not.
Channels come last in memory, so that every sum below runs along whole rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from tinynet.torchcaffe import avx512

# of a block's sums of rows, so that they stay in the last-level cache
_BYTES = 3 << 20
# images in one matrix product; with fewer, threads wait for each other more often
_AT_ONCE = 4
# least inputs in one row of a window, outputs, and positions in a row: below them the sums cost
# more than the products save
_ROW = 240
_OUTPUTS = 96
_WIDTH = 20
# with fewer positions in a batch, adding up the weights does not pay
_PLACES = 4096


class _Term(NamedTuple):
    """A product of a sum of input rows by a sum of weight rows, each given as (row, factor)."""

    inputs: tuple[tuple[int, float], ...]
    weights: tuple[tuple[int, float], ...]


_TERMS = (
    (
        _Term(((0, 1), (2, -1)), ((0, 1),)),
        _Term(((3, 1), (4, -1)), ((3, 1),)),
    ),
    (
        _Term(((1, 1), (2, 1)), ((0, 0.5), (1, 0.5), (2, 0.5))),
        _Term(((4, 1),), ((3, 1), (4, 1))),
    ),
    (_Term(((2, 1), (1, -1)), ((0, 0.5), (1, -0.5), (2, 0.5))),),
    (
        _Term(((3, 1), (1, -1)), ((2, 1),)),
        _Term(((5, 1), (4, -1)), ((4, 1),)),
    ),
)


def suits(images: torch.Tensor, shape: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Whether this is the fast way to compute N×O×h×w outputs of ``shape``.

    It depends on nothing measured: the same net rounds the same way every time on one machine.
    With AVX-512 plain convolution is faster: the gradients lose more than the outputs win.
    """
    if avx512.available() or images.device.type != "cpu" or images.dtype != torch.float32:
        return False
    count, outputs, height, width = shape
    return (
        kernel[0] == 5
        and height % 2 == 0
        and kernel[1] * images.shape[1] >= _ROW
        and outputs >= _OUTPUTS
        and width >= _WIDTH
        and count * height * width >= _PLACES
    )


def forward(images: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The N×O×h×w outputs, of even h, for N×C×(h+4)×W ``images`` and O×C×5×k_w ``weights``."""
    x = _channels_last(images)
    pairs = _Pairs(x, weights)
    out = x.new_empty(len(x), *pairs.size, pairs.outputs)
    factors = _weights_to_factors(weights)
    for some in pairs.blocks:
        # the bias goes into m₁, which is a term of both outputs
        m = [
            _along_rows(pairs.sums(x[some], j), factor, bias if j == 1 else None)
            for j, factor in enumerate(factors)
        ]
        upper, lower = out[some, 0::2], out[some, 1::2]
        torch.add(m[0], m[1], out=upper)
        upper += m[2]
        torch.sub(m[1], m[2], out=lower)
        lower += m[3]
    return out.permute(0, 3, 1, 2)


def backward(
    images: torch.Tensor, diff: torch.Tensor, weights: torch.Tensor, down: bool, learn: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """The diffs of the images (if ``down``), the weights and the bias (if they ``learn``)."""
    x, dy = _channels_last(images), _channels_last(diff)
    pairs = _Pairs(x, weights)
    below = torch.zeros_like(x) if down else None
    factors, bias_diff = _weights_to_factors(weights), x.new_zeros(pairs.outputs)
    factors_diff = [torch.zeros_like(factor) for factor in factors]
    for some in pairs.blocks:
        m = pairs.m_diff(dy[some])
        if learn:
            for j, factor_diff in enumerate(factors_diff):
                pairs.add_to_factor_diff(pairs.sums(x[some], j), m[j], factor_diff)
            bias_diff += m[1].sum((0, 1, 2))
        if below is not None:
            for j, factor in enumerate(factors):
                pairs.add_to_inputs_diff(pairs.sums_diff(m[j], factor), j, below[some])
    return (
        None if below is None else below.permute(0, 3, 1, 2),
        _factors_to_weights(factors_diff) if learn else None,
        bias_diff if learn else None,
    )


class _Pairs:
    """Pairs of output rows of N×H×W×C images, a few images at a time, and memory for them.

    A factor is O × k_w × terms·C, ``sums`` are images × pairs × W × terms·C, and each m is images ×
    pairs × w × O.
    """

    def __init__(self, x: torch.Tensor, weights: torch.Tensor) -> None:
        count, height, width, self.channels = x.shape
        self.outputs, _, _, self.columns = weights.shape
        self.size = (height - 4, width - self.columns + 1)
        self.rows = self.size[0] // 2
        most = 2 * self.channels
        images = _BYTES // (x.element_size() * self.rows * width * max(most, self.outputs))
        images = max(1, min(count, images))
        self.blocks = [slice(first, first + images) for first in range(0, count, images)]
        self._sums = x.new_empty(images * self.rows * width * most)
        self._windows = x.new_empty(_AT_ONCE * self.rows * self.size[1] * self.columns * most)
        self._m = x.new_empty(4, images, self.rows, self.size[1], self.outputs)

    def _rows(self, inputs: torch.Tensor, row: int) -> torch.Tensor:
        """The ``row``-th input row of every pair."""
        return inputs[:, row : row + self.size[0] - 1 : 2]

    def sums(self, inputs: torch.Tensor, j: int) -> torch.Tensor:
        """The sums of input rows in m_j, with the channels of its terms side by side."""
        terms = _TERMS[j]
        shape = (len(inputs), self.rows, inputs.shape[2], len(terms) * self.channels)
        sums = self._sums[: math.prod(shape)].view(shape)
        for term, part in zip(terms, sums.split(self.channels, 3)):
            rows = [self._rows(inputs, row) for row, _ in term.inputs]
            if len(rows) > 1:
                torch.add(rows[0], rows[1], alpha=term.inputs[1][1], out=part)
            else:
                part.copy_(rows[0])
        return sums

    def add_to_inputs_diff(self, sums_diff: torch.Tensor, j: int, below: torch.Tensor) -> None:
        """Add the diffs of ``sums`` to those of the inputs."""
        for term, part in zip(_TERMS[j], sums_diff.split(self.channels, 3)):
            for row, factor in term.inputs:
                self._rows(below, row).add_(part, alpha=factor)

    def m_diff(self, dy: torch.Tensor) -> torch.Tensor:
        """∂m₀ … ∂m₃ from a few images' ∂y."""
        m = self._m[:, : len(dy)]
        m[0].copy_(dy[:, 0::2])
        m[3].copy_(dy[:, 1::2])
        torch.add(m[0], m[3], out=m[1])
        torch.sub(m[0], m[3], out=m[2])
        return m

    def add_to_factor_diff(
        self, sums: torch.Tensor, m: torch.Tensor, factor_diff: torch.Tensor
    ) -> None:
        """Add the product of ∂m and the gathered windows to ∂factor (see window_products.py)."""
        matrix = factor_diff.view(self.outputs, -1)
        per_image, per_row, per_pixel, _ = sums.stride()
        windows = sums.as_strided(
            (*m.shape[:3], matrix.shape[1]), (per_image, per_row, per_pixel, 1)
        )
        for inputs, diffs in zip(windows.split(_AT_ONCE), m.split(_AT_ONCE)):
            gathered = self._windows[: inputs.numel()].view(inputs.shape).copy_(inputs)
            places = gathered.view(-1, matrix.shape[1])
            matrix.addmm_(diffs.view(-1, self.outputs).t(), places)

    def sums_diff(self, m: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """The diffs of ``sums``: those of all windows, summed where windows overlap."""
        matrix, width = factor.view(self.outputs, -1), self.size[1]
        shape = (len(m), self.rows, width + self.columns - 1, factor.shape[2])
        sums = self._sums[: math.prod(shape)].view(shape)
        for diffs, below in zip(m.split(_AT_ONCE), sums.split(_AT_ONCE)):
            places = (len(diffs), self.rows, width)
            windows = self._windows[: math.prod(places) * matrix.shape[1]]
            windows = windows.view(-1, matrix.shape[1])
            torch.mm(diffs.view(-1, self.outputs), matrix, out=windows)
            columns = windows.view(*places, self.columns, -1).unbind(3)
            below[:, :, :width].copy_(columns[0])
            below[:, :, width:].zero_()
            for i, column in enumerate(columns[1:], 1):
                below[:, :, i : i + width] += column
        return sums


def _along_rows(
    sums: torch.Tensor, factor: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """One m: every row of ``sums`` convolved with ``factor``."""
    settings = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    kernel = factor[:, None].permute(0, 3, 1, 2)
    return torch.convolution(sums.permute(0, 3, 1, 2), kernel, bias, *settings).permute(0, 2, 3, 1)


def _weights_to_factors(weights: torch.Tensor) -> list[torch.Tensor]:
    """The sums of weight rows in m₀ … m₃."""
    g = weights.permute(2, 0, 3, 1).contiguous()
    return [torch.cat([_sum(g, term.weights) for term in terms], 2) for terms in _TERMS]


def _sum(g: torch.Tensor, weights: tuple[tuple[int, float], ...]) -> torch.Tensor:
    total = g[weights[0][0]] * weights[0][1]
    for row, factor in weights[1:]:
        total.add_(g[row], alpha=factor)
    return total


def _factors_to_weights(factors_diff: list[torch.Tensor]) -> torch.Tensor:
    """∂weights from ∂factors: the same sums, transposed."""
    outputs, columns, channels = factors_diff[2].shape
    g = factors_diff[2].new_zeros(5, outputs, columns, channels)
    for terms, diff in zip(_TERMS, factors_diff):
        for term, part in zip(terms, diff.split(channels, 2)):
            for row, factor in term.weights:
                g[row].add_(part, alpha=factor)
    return g.permute(1, 3, 0, 2).contiguous()


def _channels_last(values: torch.Tensor) -> torch.Tensor:
    """N×C×H×W as contiguous N×H×W×C."""
    return values.permute(0, 2, 3, 1).contiguous()
