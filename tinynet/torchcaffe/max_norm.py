"""The max-norm constraint on the device: each unit's incoming weights have at most a given norm.

Srivastava et al. 2014, section 5.1.  The same as ``tinynet.engine.worker.max_norm``, which does it
through pycaffe alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from tinynet.torchcaffe.net import Net

_TYPES = ("Convolution", "InnerProduct")
_TOLERANCE = 5e-7  # what float32 may round a norm by: a row scaled once is not scaled again


@torch.no_grad()
def limit(net: Net, largest: float) -> None:
    """Scale back every row of weights (num_output x K) whose norm is above ``largest``.

    Weights that are no number stay as they are, so that a divergence still shows.
    """
    for name, layer in zip(net._layer_names, net.layers):
        if layer.type in _TYPES and name in net.params:
            rows = net.params[name][0].tensor.flatten(1)
            norms = _norms(rows)
            above = norms > largest * (1 + _TOLERANCE)
            # selected, not multiplied by 1: on a GPU nothing waits for a count of the rows
            scale = torch.where(above, largest / norms, torch.ones_like(norms))
            rows.mul_(scale.to(rows.dtype).unsqueeze(1))


def _norms(rows: torch.Tensor) -> torch.Tensor:
    """The norm of each row, summed in float64."""
    if rows.device.type != "cpu":
        return torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    values = rows.numpy()  # several times faster than torch's sum in another type
    return torch.from_numpy(np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64)))
