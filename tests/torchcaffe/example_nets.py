"""Compares a whole net, its data layers included, in both engines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.conftest import Answer, Ask, assert_same
from tests.torchcaffe.layer_data import supply
from tinynet.caffeformat import binary, schema, text

PHASES = {"train": schema.TRAIN, "test": schema.TEST}


@dataclass(frozen=True)
class Example:
    """Input of a net: C×H×W of an image or the length of a vector, and labels."""

    shape: tuple[int, ...]
    classes: int = 10
    batch: int = 3
    stages: tuple[str, ...] = ()  # stages of the net state in the phase TEST
    layers: str = ""  # the folder of its Python layers


def replace_narrow_fillers(net: Any) -> None:
    """Replace initial values that are too small for a comparison.

    A deploy net has zeros, and the ImageNet nets have Gaussians of std 0.01 and less.
    """
    for layer in net.layer:
        for field in ("convolution_param", "inner_product_param"):
            if not layer.HasField(field):
                continue
            filler = getattr(layer, field).weight_filler
            narrow = filler.type == "gaussian" and filler.std < 0.05 and filler.sparse < 0
            if narrow or filler.type == "constant":
                filler.Clear()
                filler.type = "xavier"


def _statistics(net: Any, phase: int, folder: Path) -> str:
    """Write a .caffemodel with running means and variances; a new net's are 0 and test nothing."""
    (folder / "net.prototxt").write_text(text.format(net))
    made = torchcaffe.Net(folder / "net.prototxt", phase)
    weights = schema.NetParameter()
    rng = np.random.default_rng(6)
    for layer in net.layer:
        if layer.type == "BatchNorm":
            channels = made.params[layer.name][0].data.size
            stored = weights.layer.add(name=layer.name, type=layer.type)
            for values in (rng.normal(size=channels), rng.uniform(1, 9, channels), np.ones(1)):
                blob = stored.blobs.add(data=values.tolist())
                blob.shape.dim.append(len(values))
    path = folder / "statistics.caffemodel"
    binary.write(path, weights)
    return str(path)


def compare(
    net: Any, example: Example, phase: str, folder: Path, ask_both: Ask, exact: bool = True
) -> tuple[Answer, Answer]:
    """Assert that two forward and backward passes of ``net`` agree in both engines in every blob.

    With ``exact`` false, gradients may differ a little.  If a value and 0, or two values of a
    pooling window, are closer than rounding, a gradient takes another path, and all gradients below
    it differ slightly; below a wrong layer they differ much more.  (AlexNet: the signs of two of
    conv2's values differ, and so does conv1's gradient by 1 %.)
    """
    replace_narrow_fillers(net)
    inputs = supply(net, folder, example.shape, example.classes, example.batch)
    if not any("Loss" in layer.type or layer.loss_weight for layer in net.layer):
        net.force_backward = True
    request: dict[str, Any] = {"net": text.format(net), "phase": PHASES[phase], "passes": 2}
    if phase == "test" and example.stages:
        request["stages"] = list(example.stages)
    if any(layer.type == "BatchNorm" for layer in net.layer):
        request["weights"] = _statistics(net, request["phase"], folder)
    if example.layers:
        request["layers"] = example.layers
    if net.force_backward:
        read = {bottom for layer in net.layer for bottom in layer.bottom}
        request["top_diffs"] = [t for layer in net.layer for t in layer.top if t not in read]
    real, ours = ask_both(request, inputs)
    forward = [key for key in real if "diff/" not in key]
    assert_same({key: real[key] for key in forward}, ours, 1e-4)
    backward = sorted(set(real) - set(forward))
    # a gradient whose terms cancel, such as a bias's in a siamese net, is rounding error alone
    rounding = 1e-6 * max(float(np.linalg.norm(real[key])) for key in backward)
    for key in backward:
        apart = float(np.linalg.norm(ours[key] - real[key]))
        limit = 1e-3 if exact else 0.03 if "param_diff" in key else 0.1
        assert apart <= limit * float(np.linalg.norm(real[key])) + rounding, key
    diffs = [key for key in real if key.startswith("1/param_diff/")]
    if diffs:
        assert np.abs(real[diffs[0]]).max() > 1e-9, "no gradient reaches the first layer"
    return real, ours
