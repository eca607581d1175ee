"""In which order of memory convolutions are faster."""

from __future__ import annotations

import torch


def preferred(device: torch.device, float32: bool) -> torch.memory_format:
    """The faster order for convolutions in float32 (or in a shorter arithmetic) on ``device``.

    Every layer above a convolution keeps to it.  Channels last; but cuDNN's float32 kernels want
    them first, and turn the others around and back: stage 7's convolutions take 5.4 ms that way,
    and 4.4 this way (H200, 128 images).
    """
    if device.type == "cpu" or not float32:
        return torch.channels_last
    return torch.contiguous_format
