"""The max-norm constraint on the device: each unit's incoming weights have at most a given norm.

Srivastava et al. 2014, section 5.1.  ``tinynet.engine.worker.max_norm`` does the same through
pycaffe alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from tinynet.torchcaffe.net import Net

_TYPES = ("Convolution", "InnerProduct")
_TOLERANCE = 5e-7  # above the rounding of a float32 norm: a row scaled once is not scaled again


@torch.no_grad()
def limit(net: Net, largest: float) -> None:
    """Scale back every row of weights (num_output x K) whose norm is above ``largest``.

    NaN weights stay as they are, so that a divergence still shows.
    """
    for layer in net.graph.layers:
        if layer.type in _TYPES:
            rows = layer.blobs[0].tensor.flatten(1)
            norms = _norms(rows)
            above = norms > largest * (1 + _TOLERANCE)
            # all rows are multiplied, most by 1: to select rows, a GPU would have to be waited for
            scale = torch.where(above, largest / norms, torch.ones_like(norms))
            rows.mul_(scale.to(rows.dtype).unsqueeze(1))


def _norms(rows: torch.Tensor) -> torch.Tensor:
    """The norm of each row, summed in float64."""
    if rows.device.type != "cpu":
        return torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    values = rows.numpy()  # several times faster than torch's sum in another type
    return torch.from_numpy(np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64)))
