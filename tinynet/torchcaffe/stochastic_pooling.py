"""Stochastic pooling, as Caffe computes it on a GPU (src/caffe/layers/pooling_layer.cu).

In TRAIN a window's value x is chosen with probability x / Σx: the first in scan order at which the
running sum reaches u · Σx, for a u drawn between 0 and 1.  In TEST a window gives the mean of that,
Σx² / Σx, or 0 where Σx is not positive.  It is meant for values that are not negative.

Caffe does not implement it on a CPU.  Here a CPU draws from the main stream, one number per window
in C order, as Caffe's other layers do; a GPU draws from PyTorch's generator.

Caffe leaves two cases undefined.  If negative values or NaN keep every running sum below u · Σx, it
keeps what the memory held; here the top is 0, and no value gets its diff.  In TEST its backward
uses indices that only TRAIN draws; here it is the derivative of Σx² / Σx.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.random_numbers import random

Pooled = tuple[torch.Tensor, torch.Tensor]


def uniform(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Draw a number between 0 and 1 for each window."""
    if device.type != "cpu":
        return torch.rand(shape, device=device)
    drawn = random.rng_uniform(CONTEXT.stream, torch.Size(shape).numel(), 0, 1)
    return torch.from_numpy(drawn).reshape(shape)


def draw(windows: torch.Tensor, threshold: torch.Tensor) -> Pooled:
    """For TRAIN: the value drawn from each window, and its derivative by each value.

    ``windows`` is (…, values of a window); ``threshold`` is each window's u, in 0 … 1.
    """
    sums = windows.cumsum(-1)
    reached = sums >= (threshold * sums[..., -1])[..., None]
    first = reached & (reached.cumsum(-1) == 1)
    return torch.where(first, windows, 0).sum(-1), first.to(windows.dtype)


def average(windows: torch.Tensor) -> Pooled:
    """For TEST: Σx² / Σx of each window, and its derivative by each value."""
    sums = windows.sum(-1)
    positive = sums > 0
    divisor = torch.where(positive, sums, 1)
    pooled = torch.where(positive, windows.square().sum(-1) / divisor, 0)
    slope = (2 * windows - pooled[..., None]) / divisor[..., None]
    return pooled, torch.where(positive[..., None], slope, 0)
