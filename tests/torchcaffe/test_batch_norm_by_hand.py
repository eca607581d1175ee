"""BatchNorm in training, against its formulas in float64 numpy and against what Debian's Caffe did.

kendryte-caffe, the real Caffe of most test machines, uses the stored statistics even in TRAIN, so
it cannot be the reference here.  The formulas are those of Ioffe and Szegedy (2015), with the chain
rule through variance and mean as given there, and Caffe's moving sums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, RealCaffe, assert_same
from tests.torchcaffe.golden import BATCH_NORM as GOLDEN
from tests.torchcaffe.small_nets import layer, normal

UPDATES = 12
BASE_LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.8, 0.01
EPS, FRACTION = 0.01, 0.7
CLASSES = 3
_UNIFORM = '{ type: "uniform" min: -0.5 max: 0.5 }'


def net(in_place: bool) -> str:
    """conv → bn → scale → relu → fc → loss; bn, scale and relu may work in place."""
    tops = ["conv"] * 3 if in_place else ["bn", "scale", "relu"]
    given = "input_param { shape { dim: 4 dim: 2 dim: 5 dim: 4 } shape { dim: 4 } }"
    text = layer("Input", "", "data label", given, "in")
    text += layer(
        "Convolution",
        "data",
        "conv",
        f"convolution_param {{ num_output: 3 kernel_size: 2 weight_filler {_UNIFORM} "
        f"bias_filler {_UNIFORM} }}",
        "conv",
    )
    text += layer(
        "BatchNorm",
        "conv",
        tops[0],
        f"batch_norm_param {{ eps: {EPS} moving_average_fraction: {FRACTION} }}",
        "bn",
    )
    text += layer(
        "Scale",
        tops[0],
        tops[1],
        f"scale_param {{ filler {_UNIFORM} bias_term: true bias_filler {_UNIFORM} }}",
        "scale",
    )
    text += layer("ReLU", tops[1], tops[2], "relu_param { negative_slope: 0.1 }", "relu")
    text += layer(
        "InnerProduct",
        tops[2],
        "fc",
        f"inner_product_param {{ num_output: {CLASSES} weight_filler {_UNIFORM} }}",
        "fc",
    )
    return text + layer("SoftmaxWithLoss", "fc label", "loss", "", "loss")


def request(folder: Path, in_place: bool) -> dict[str, object]:
    path = folder / "net.prototxt"
    path.write_text(net(in_place))
    solver = (
        f'net: "{path}" random_seed: 5 base_lr: {BASE_LR} lr_policy: "fixed" '
        f"momentum: {MOMENTUM} weight_decay: {WEIGHT_DECAY}"
    )
    return {"solver": solver, "steps": UPDATES}


def inputs() -> Answer:
    return {
        "data": normal(1, (4, 2, 5, 4)) * 2 + 1,
        "label": np.array([0, 2, 1, 2], dtype=np.float32),
    }


def parameters(answer: Answer, head: str) -> dict[str, np.ndarray]:
    return {name[len(head) :]: a for name, a in answer.items() if name.startswith(head)}


def windows(data: np.ndarray) -> np.ndarray:
    """N × (c, i, j) × (y, x): what each place of the 2 × 2 convolution sees."""
    parts = [[data[:, :, i : i + 4, j : j + 3] for j in (0, 1)] for i in (0, 1)]
    return np.stack([np.stack(row, 2) for row in parts], 2).reshape(4, 8, 4, 3)


def train_by_hand(start: dict[str, np.ndarray], given: Answer) -> tuple[list[float], Answer]:
    """The losses of ``UPDATES`` updates, and every parameter after them, in float64."""
    w = {name: values.astype(np.float64) for name, values in start.items()}
    velocity = {name: np.zeros_like(values) for name, values in w.items()}
    seen = windows(given["data"].astype(np.float64))
    label = given["label"].astype(int)
    rows = np.arange(len(label))
    axes, m = (0, 2, 3), 4 * 4 * 3
    losses = []
    for _ in range(UPDATES):
        # forward
        kernel = w["conv/0"].reshape(3, 8)
        conv = np.einsum("ok,nkyx->noyx", kernel, seen) + w["conv/1"][:, None, None]
        mean = conv.sum(axes, keepdims=True) / m
        centred = conv - mean
        variance = (centred**2).sum(axes, keepdims=True) / m
        deviation = np.sqrt(variance + EPS)
        bn = centred / deviation
        scale = w["scale/0"][:, None, None] * bn + w["scale/1"][:, None, None]
        slope = np.where(scale > 0, 1.0, 0.1)
        flat = (slope * scale).reshape(4, -1)
        scores = flat @ w["fc/0"].T + w["fc/1"]
        powers = np.exp(scores - scores.max(1, keepdims=True))
        prob = powers / powers.sum(1, keepdims=True)
        losses.append(float(-np.log(prob[rows, label]).mean()))
        w["bn/0"] = FRACTION * w["bn/0"] + mean.ravel()
        w["bn/1"] = FRACTION * w["bn/1"] + variance.ravel() * m / (m - 1)
        w["bn/2"] = FRACTION * w["bn/2"] + 1
        # backward
        d_scores = prob.copy()
        d_scores[rows, label] -= 1
        d_scores /= len(label)
        d_scale = (d_scores @ w["fc/0"]).reshape(scale.shape) * slope
        d_bn = d_scale * w["scale/0"][:, None, None]
        d_variance = (d_bn * centred).sum(axes, keepdims=True) * -0.5 * deviation**-3
        d_mean = -(d_bn / deviation).sum(axes, keepdims=True)
        d_mean -= d_variance * 2 * centred.sum(axes, keepdims=True) / m
        d_conv = d_bn / deviation + d_variance * 2 * centred / m + d_mean / m
        gradient = {
            "conv/0": np.einsum("noyx,nkyx->ok", d_conv, seen).reshape(w["conv/0"].shape),
            "conv/1": d_conv.sum(axes),
            "scale/0": (d_scale * bn).sum(axes),
            "scale/1": d_scale.sum(axes),
            "fc/0": d_scores.T @ flat,
            "fc/1": d_scores.sum(0),
        }
        for name, values in gradient.items():
            velocity[name] = MOMENTUM * velocity[name] + BASE_LR * (values + WEIGHT_DECAY * w[name])
            w[name] = w[name] - velocity[name]
    return losses, w


@pytest.mark.parametrize("in_place", [False, True])
def test_training_through_batch_norm_follows_its_formulas(in_place: bool, tmp_path: Path) -> None:
    ours = both_engines.answer(torchcaffe, request(tmp_path, in_place), inputs())
    losses, end = train_by_hand(parameters(ours, "start/"), inputs())
    assert losses[-1] < 0.7 * losses[0], "little was learned, and so little compared"
    np.testing.assert_allclose(ours["losses"], losses, rtol=1e-5)
    assert_same(end, parameters(ours, "end/"), 1e-5)


@pytest.mark.parametrize("in_place", [False, True])
def test_training_through_batch_norm_equals_the_stored_run_of_debians_caffe(
    in_place: bool, tmp_path: Path
) -> None:
    ours = both_engines.answer(torchcaffe, request(tmp_path, in_place), inputs())
    with np.load(GOLDEN) as stored:
        expected = {name: stored[name] for name in stored.files}
    for name in parameters(expected, "start/"):
        np.testing.assert_array_equal(ours[f"start/{name}"], expected[f"start/{name}"])
    assert_same(expected, ours, 1e-5)


@pytest.mark.parametrize("in_place", [False, True])
def test_training_through_batch_norm_equals_real_caffes(
    in_place: bool, tmp_path: Path, caffe_that_normalizes_by_batch: RealCaffe
) -> None:
    asked = request(tmp_path, in_place)
    real = caffe_that_normalizes_by_batch.answer(asked, inputs(), tmp_path)
    assert_same(real, both_engines.answer(torchcaffe, asked, inputs()), 1e-5)
