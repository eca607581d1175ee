"""ContrastiveLoss, InfogainLoss and MultinomialLogisticLoss against real Caffe and by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, Ask, assert_same
from tests.torchcaffe.refused_nets import refused
from tests.torchcaffe.small_nets import Shape, layer, net, normal
from tinynet.caffeformat import blob_proto

Inputs = dict[str, np.ndarray]
_SCORES = normal(1, (3, 4, 2, 1)) * 3
_LABELS = np.array([[[0], [3]], [[2], [2]], [[1], [3]]], np.float32)
_H = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
_PAIRS: Inputs = {
    "a": normal(3, (6, 3)),
    "b": normal(4, (6, 3)),
    "t": np.array([0, 1, 0, 2, 0.9, -1], np.float32),
}
_PAIRS["b"][2] = _PAIRS["a"][2]  # equal, though labelled as dissimilar
_PROBABLE = np.abs(normal(5, (4, 3)))
_PROBABLE[1] = 0
_PICKED: Inputs = {"a": _PROBABLE, "t": np.array([0, 2, 1, 1], np.float32)}


def case(layer_type: str, parameters: str, inputs: Inputs, tops: str = "y") -> tuple[str, Inputs]:
    learned = 2 if layer_type == "ContrastiveLoss" else 1
    passes = " ".join(
        f"propagate_down: {str(number < learned).lower()}" for number in range(len(inputs))
    )
    bottoms = " ".join(inputs).replace("a ", "s ")
    text = layer(layer_type, bottoms, tops, f"{passes} {parameters}")
    # force_backward would also request the diff of H, which both engines refuse
    text = layer("Bias", "a", "s", "bias_param { axis: 0 num_axes: -1 }", "below") + text
    shapes = ((name, values.shape) for name, values in inputs.items())
    return net(text, *shapes, force_backward=layer_type != "InfogainLoss"), inputs


def pairs(parameters: str, inputs: Inputs = _PAIRS) -> tuple[str, Inputs]:
    return case("ContrastiveLoss", parameters, inputs)


def infogain(parameters: str, labels: np.ndarray = _LABELS, **more: object) -> tuple[str, Inputs]:
    return case("InfogainLoss", parameters, {"a": _SCORES, "t": labels, "h": _H}, **more)  # type: ignore[arg-type]


CASES = {
    "contrastive": pairs(""),
    "contrastive margin": pairs("contrastive_loss_param { margin: 2.5 }"),
    "contrastive margin 0": pairs("contrastive_loss_param { margin: 0 }"),
    "contrastive legacy": pairs("contrastive_loss_param { margin: 4 legacy_version: true }"),
    "contrastive weighted": pairs("loss_weight: 0.3"),
    "contrastive of four axes": pairs(
        "", {name: v.reshape(6, -1, 1, 1) for name, v in _PAIRS.items()}
    ),
    "infogain": infogain(""),
    "infogain ignores": infogain("loss_param { ignore_label: 2 }"),
    "infogain ignores what is no class": infogain(
        "loss_param { ignore_label: -1 }", _LABELS - np.float32(1)
    ),
    "infogain full": infogain("loss_param { ignore_label: 2 normalization: FULL }"),
    "infogain batch size": infogain("loss_param { normalization: BATCH_SIZE }"),
    "infogain none": infogain("loss_param { normalization: NONE }"),
    "infogain weighted, with probabilities": infogain(
        "loss_weight: 0.4 loss_weight: 0", tops="y p"
    ),
    "infogain axis": case(
        "InfogainLoss",
        "infogain_loss_param { axis: -1 }",
        {"a": normal(6, (3, 2, 4)), "t": _LABELS, "h": _H},
    ),
    "infogain saturated": case(
        "InfogainLoss", "", {"a": _SCORES * 40, "t": _LABELS, "h": np.abs(_H)}
    ),
    "multinomial": case("MultinomialLogisticLoss", "", _PICKED),
    "multinomial weighted": case("MultinomialLogisticLoss", "loss_weight: 2", _PICKED),
    "multinomial of more axes": case(
        "MultinomialLogisticLoss", "", {"a": _PROBABLE.reshape(2, 3, 2, 1), "t": _PICKED["t"][:2]}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_its_gradients_equal_real_caffes(name: str, ask_both: Ask) -> None:
    text, inputs = CASES[name]
    assert_same(*ask_both({"net": text, "passes": 2}, inputs), 2e-5)


@pytest.mark.parametrize("parameters", ["", "loss_param { ignore_label: 2 }"])
def test_an_infogain_matrix_from_a_file_gives_the_same_loss_as_one_from_a_bottom(
    parameters: str, tmp_path: Path, ask_both: Ask
) -> None:
    (tmp_path / "h.binaryproto").write_bytes(blob_proto.encode(_H.reshape(1, 1, 4, 4)))
    source = f'infogain_loss_param {{ source: "{tmp_path}/h.binaryproto" }}'
    text, inputs = case("InfogainLoss", f"{parameters} {source}", {"a": _SCORES, "t": _LABELS})
    real, ours = ask_both({"net": text}, inputs)
    assert_same(real, ours)
    from_bottom, inputs = infogain(parameters)
    other = both_engines.answer(torchcaffe, {"net": from_bottom}, inputs)
    np.testing.assert_array_equal(ours["0/data/y"], other["0/data/y"])
    np.testing.assert_array_equal(ours["0/diff/s"], other["0/diff/s"])


def by_hand(text: str, inputs: Inputs) -> Answer:
    return both_engines.answer(torchcaffe, {"net": text}, inputs)


def slopes(loss: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """The gradient of ``loss`` by central differences in float64."""
    found = np.zeros(at.shape)
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-6
        found[index] = (loss(at + step) - loss(at - step)) / 2e-6
    return found


@pytest.mark.parametrize("legacy", [False, True])
def test_contrastive_loss_equals_its_formula(legacy: bool) -> None:
    inputs = {"a": normal(3, (5, 4)), "b": normal(4, (5, 4)), "t": np.float32([0, 1, 0, 0, 1])}

    def loss(a: np.ndarray) -> float:
        squared = ((a - inputs["b"]) ** 2).sum(1)
        apart = np.maximum(9 - squared, 0) if legacy else np.maximum(9 - np.sqrt(squared), 0) ** 2
        return float(np.where(inputs["t"] != 0, squared, apart).sum() / 10)

    parameters = f"contrastive_loss_param {{ margin: 9 legacy_version: {str(legacy).lower()} }}"
    found = by_hand(*pairs(parameters, inputs))
    a = inputs["a"].astype(np.float64)
    assert found["0/data/y"] == pytest.approx(loss(a), rel=1e-5)
    # Caffe adds 10⁻⁴ to the distance, so that its slope is that much smaller
    np.testing.assert_allclose(found["0/diff/a"], slopes(loss, a), rtol=2e-4, atol=1e-5)
    np.testing.assert_array_equal(found["0/diff/b"], -found["0/diff/a"])


def test_infogain_loss_equals_its_formula() -> None:
    labels = _LABELS.astype(int).reshape(3, 2)

    def loss(scores: np.ndarray) -> float:
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return (
            -float(sum(_H[labels[i, j]] @ logs[i, :, j, 0] for i in range(3) for j in (0, 1))) / 6
        )

    found = by_hand(*infogain(""))
    scores = _SCORES.astype(np.float64)
    assert found["0/data/y"] == pytest.approx(loss(scores), rel=1e-5)
    np.testing.assert_allclose(found["0/diff/s"], slopes(loss, scores), rtol=1e-4, atol=1e-6)


def test_multinomial_loss_equals_its_formula() -> None:
    found = by_hand(*CASES["multinomial"])
    picked = np.maximum(_PROBABLE[range(4), [0, 2, 1, 1]].astype(np.float64), 1e-20)
    assert found["0/data/y"] == pytest.approx(-np.log(picked).mean(), rel=1e-6)
    assert found["0/diff/a"][1, 2] == pytest.approx(-1 / 4 / 1e-20, rel=1e-6)
    assert np.count_nonzero(found["0/diff/a"]) == 4


def _refused(
    kind: str, rest: str, *shapes: Shape, tops: str = "y", message: str
) -> tuple[str, str]:
    return refused(f"{kind}Loss", rest, *shapes, tops=tops, message=message)


_TO_ALL = "propagate_down: true propagate_down: true"
REFUSED = {
    "contrastive two bottoms": _refused("Contrastive", "", (2, 3), (2, 3), message="exactly 3"),
    "contrastive batch": _refused("Contrastive", "", (2, 3), (3, 3), (2,), message="same first"),
    "contrastive channels": _refused("Contrastive", "", (2, 3), (2, 4), (2,), message="channels"),
    "contrastive size": _refused(
        "Contrastive", "", (2, 3, 2), (2, 3, 2), (2,), message="N×C×1×1 and"
    ),
    "contrastive labels": _refused(
        "Contrastive", "", (2, 3), (2, 3), (2, 2), message=r"labels N×1×1×1.*\(2, 2\)"
    ),
    "contrastive axes": _refused(
        "Contrastive", "", (2, 3, 1, 1, 1), (2, 3), (2,), message="at most 4 axes"
    ),
    "infogain without H": _refused("Infogain", "", (2, 3), (2,), message="matrix H must be given"),
    "infogain missing H": _refused(
        "Infogain",
        'infogain_loss_param { source: "/nowhere/h" }',
        (2, 3),
        (2,),
        message="could not open file /nowhere/h",
    ),
    "infogain size of H": _refused(
        "Infogain", "", (2, 3), (2,), (3, 4), message=r"3 × 3 values.*\(3, 4\)"
    ),
    "infogain labels": _refused("Infogain", "", (2, 3), (2, 2), (3, 3), message="number of labels"),
    "infogain axis": _refused(
        "Infogain", "infogain_loss_param { axis: 2 }", (2, 3), (2,), (3, 3), message="axis 2"
    ),
    "infogain normalize": _refused(
        "Infogain", "loss_param { normalize: true }", (2, 3), (2,), (3, 3), message="normalize is"
    ),
    "infogain label gradient": _refused(
        "Infogain", f"{_TO_ALL} propagate_down: false", (2, 3), (2,), (3, 3), message="to label"
    ),
    "infogain gradient of H": _refused(
        "Infogain",
        "propagate_down: true propagate_down: false propagate_down: true",
        (2, 3),
        (2,),
        (3, 3),
        message="to the matrix H",
    ),
    "infogain two tops": _refused(
        "Infogain", "", (2, 3), (2,), (3, 3), tops="y p", message="once per top"
    ),
    "multinomial batch": _refused(
        "MultinomialLogistic", "", (2, 3), (3,), message="same first dimension"
    ),
    "multinomial labels": _refused(
        "MultinomialLogistic", "", (2, 3), (2, 2), message="one per image"
    ),
    "multinomial label gradient": _refused(
        "MultinomialLogistic", _TO_ALL, (2, 3), (2,), message="cannot backpropagate to label"
    ),
    "multinomial three bottoms": _refused(
        "MultinomialLogistic", "", (2, 3), (2,), (3, 3), message="exactly 2 bottom"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_loss_settings_that_real_caffe_refuses_are_refused_here(
    name: str, both_refuse: Callable[..., str]
) -> None:
    text, message = REFUSED[name]
    refusal = both_refuse({"net": text})
    assert re.search(message, refusal) and "\n" not in refusal


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [("Infogain", ((2, 3), (2,), (3, 3))), ("MultinomialLogistic", ((2, 3), (2,)))],
)
def test_a_label_outside_the_classes_is_refused_where_real_caffe_reads_other_memory(
    kind: str, shapes: tuple[Shape, ...]
) -> None:
    text, _ = _refused(kind, "", *shapes, message="")
    labels = {"b": np.float32([0, 3])}
    with pytest.raises(torchcaffe.CaffeError, match="labels must be in 0 … 2.*got 3"):
        by_hand(text, labels)
