"""Bringing what a layer read to the device of its net."""

from __future__ import annotations

import numpy as np
import torch


def upload(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` on ``device``, without waiting."""
    return staged(values, device).to(device, non_blocking=True)


def staged(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` where ``device`` can copy them from without a wait: a GPU, page-locked memory."""
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return tensor.pin_memory() if device.type == "cuda" else tensor
