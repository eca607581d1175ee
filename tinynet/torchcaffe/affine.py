"""Scaling and shifting as Caffe does with BLAS, down to the sign of zero (math_functions.cpp)."""

from __future__ import annotations

import torch


def scaled(values: torch.Tensor, factor: float) -> torch.Tensor:
    """``values`` · factor; a factor of 0 turns infinities and NaN into 0 too, as OpenBLAS does."""
    if factor == 1:
        return values
    return values * factor if factor else torch.zeros_like(values)


def affine(values: torch.Tensor, scale: float, shift: float) -> torch.Tensor:
    """``values`` · scale + shift; a scale of 1 and a shift of 0 change nothing, not even −0."""
    values = scaled(values, scale)
    return values + shift if shift else values
