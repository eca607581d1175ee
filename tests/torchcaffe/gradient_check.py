"""The one numeric check of gradients: a net's backward against central differences, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

import tinynet.torchcaffe as caffe
from tinynet.torchcaffe.blob import Blob

STEP = 1e-5
TOLERANCE = 1e-6


def check_gradients(
    text: str,
    arrays: dict[str, np.ndarray],
    tops: Iterable[str],
    learned: Iterable[str],
    folder: Path,
    phase: int = caffe.TRAIN,
) -> None:
    """Compare dE/dv for every element v of the blobs ``learned`` and of all parameters.

    E is Σ top · weight over ``tops``, with fixed weights, plus the net's own loss.  Blobs take the
    dtype that they are given, so a net fed with float64 computes in float64.
    """
    path = folder / "net.prototxt"
    path.write_text(text)
    net = caffe.Net(path, phase)
    for name, values in arrays.items():
        net.blobs[name].set_data(torch.from_numpy(values).double())
    parameters = {
        f"{layer}[{i}]": blob for layer, blobs in net.params.items() for i, blob in enumerate(blobs)
    }
    for blob in parameters.values():
        blob.set_data(blob.tensor.double())
    start = {name: blob.tensor.clone() for name, blob in parameters.items()}
    weights = {
        name: torch.cos(torch.arange(net.blobs[name].count, dtype=torch.float64)).reshape(
            net.blobs[name].shape
        )
        for name in tops
    }

    def energy() -> float:
        for name, blob in parameters.items():
            if name not in learned_parameters:  # the statistics that forward changes
                blob.set_data(start[name].clone())
        loss = float(net.run_forward())
        return loss + sum(float((net.blobs[n].tensor * w).sum()) for n, w in weights.items())

    layer_params = {name: net.layer_dict[name].param.param for name in net.params}
    learned_parameters = {
        f"{layer}[{i}]"
        for layer, blobs in net.params.items()
        for i in range(len(blobs))
        if i >= len(layer_params[layer]) or layer_params[layer][i].lr_mult != 0
    }
    energy()
    for name, weight in weights.items():
        net.blobs[name].set_diff(weight.clone())
    net.clear_param_diffs()
    net.run_backward()
    blobs: dict[str, Blob] = {name: net.blobs[name] for name in learned}
    blobs.update({name: parameters[name] for name in learned_parameters})
    found = {name: blob.grad.clone() for name, blob in blobs.items()}
    for name, blob in blobs.items():
        values, numeric = blob.tensor.reshape(-1), torch.empty(blob.count, dtype=torch.float64)
        for i in range(blob.count):
            middle = float(values[i])
            values[i] = middle + STEP
            above = energy()
            values[i] = middle - STEP
            numeric[i] = (above - energy()) / (2 * STEP)
            values[i] = middle
        scale = max(1.0, float(numeric.abs().max()))
        worst = float((found[name].reshape(-1) - numeric).abs().max())
        assert worst <= TOLERANCE * scale, f"{name}: gradient off by {worst} of {scale}"
