"""A saved .caffemodel has the same layer parameters as real Caffe's, not only the same blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines, known_nets
from tests.torchcaffe.conftest import RealCaffe, assert_same
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net, one
from tinynet.caffeformat import binary, schema, text

# the first case of every type, a Scale with bias, and shared parameters
NETS = {case.type: case.text for case in reversed(LAYERS.values())}
NETS.update(
    {
        "Convolution": one(
            "Convolution",
            f"convolution_param {{ num_output: 2 kernel_size: 2 {GAUSSIAN} }}",
            (1, 2, 3, 3),
        ),
        "InnerProduct": one("InnerProduct", "inner_product_param { num_output: 2 }", (1, 2)),
        "Scale, biased": one("Scale", "scale_param { bias_term: true }", (2, 3)),
        "lenet": known_nets.lenet(),
        "googlenet": known_nets.googlenet(),
        "resnet": known_nets.resnet(""),
        "a loss with a weight": net(
            layer("EuclideanLoss", "a b", "l", "loss_weight: 0.5"), ("a", (2, 2)), ("b", (2, 2))
        ),
        "shared": net(
            layer(
                "InnerProduct",
                "x",
                "y",
                'param { name: "w" } inner_product_param { num_output: 2 bias_term: false }',
                "p",
            )
            + layer(
                "InnerProduct",
                "y",
                "z",
                'param { name: "w" } inner_product_param { num_output: 2 bias_term: false }',
                "q",
            ),
            ("x", (2, 2)),
        ),
    }
)


def _read(path: Path) -> Any:
    model = binary.read(path, schema.NetParameter)
    for stored in model.layer:
        for blob in stored.blobs:
            blob.ClearField("data")
    return model


@pytest.mark.parametrize("name", NETS)
def test_a_caffemodel_parses_to_the_same_message_as_real_caffes(
    name: str,
    real_caffe: RealCaffe,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if name == "Clip":
        request.getfixturevalue("caffe_that_has_clip")
    asked = {"net": NETS[name], "backward": False, "passes": 0}
    theirs, ours = tmp_path / "theirs.caffemodel", tmp_path / "ours.caffemodel"
    real_caffe.answer({**asked, "save": str(theirs)}, {}, tmp_path)
    both_engines.answer(caffe, {**asked, "save": str(ours)}, {})
    assert text.format(_read(ours)) == text.format(_read(theirs))
    assert text.format(_read(ours)).count("name:") > 1


def test_a_loss_layer_is_saved_with_its_weight(tmp_path: Path) -> None:
    asked = {"net": NETS["EuclideanLoss"], "passes": 0, "save": str(tmp_path / "x.caffemodel")}
    both_engines.answer(caffe, asked, {})
    assert list(_read(tmp_path / "x.caffemodel").layer[-1].loss_weight) == [1]


def test_diffs_in_a_caffemodel_are_loaded_as_by_real_caffe(
    real_caffe: RealCaffe, tmp_path: Path
) -> None:
    model = schema.NetParameter()
    stored = model.layer.add(name="l", type="InnerProduct")
    for shape, first in (((2, 2), 1.0), ((2,), 9.0)):
        values = [first + i for i in range(2 ** len(shape))]
        blob = stored.blobs.add(data=values, diff=[-value for value in values])
        blob.shape.dim.extend(shape)
    binary.write(tmp_path / "x.caffemodel", model)
    written = one("InnerProduct", "inner_product_param { num_output: 2 }", (1, 2))
    asked = {"net": written, "weights": str(tmp_path / "x.caffemodel"), "backward": False}
    asked["clear"] = False
    real = real_caffe.answer(asked, {}, tmp_path)
    ours = both_engines.answer(caffe, asked, {})
    assert real["0/param_diff/l/0"].tolist() == [[-1, -2], [-3, -4]]
    assert_same(real, ours, 0)
