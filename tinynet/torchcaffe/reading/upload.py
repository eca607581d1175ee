"""Copying what a layer has read to its net's device."""

from __future__ import annotations

import numpy as np
import torch


def upload(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return ``values`` on ``device``, without waiting for the copy."""
    return staged(values, device).to(device, non_blocking=True)


def staged(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return ``values`` in memory that ``device`` copies without a wait: page-locked for a GPU."""
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return tensor.pin_memory() if device.type == "cuda" else tensor
