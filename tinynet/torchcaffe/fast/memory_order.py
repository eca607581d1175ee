"""The memory order in which convolutions are faster."""

from __future__ import annotations

import torch


def preferred(device: torch.device, float32: bool) -> torch.memory_format:
    """The faster order for convolutions on ``device``, in float32 or in a shorter arithmetic.

    Every layer above a convolution keeps its order.  It is channels last, except for cuDNN's
    float32 kernels, which need channels first and convert any other order there and back: stage 7's
    convolutions take 5.4 ms with channels last and 4.4 ms with channels first (H200, 128 images).
    """
    if device.type == "cpu" or not float32:
        return torch.channels_last
    return torch.contiguous_format
