"""Shapes and parameter counts are real Caffe's, and the stages' equal a hand calculation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import run_python
from tinynet.caffeformat import schema, shapes, text
from tinynet.errors import TinynetError
from tinynet.experiment import nets
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.stages import STAGES, stage

SCRIPT = Path(__file__).with_name("in_caffe.py")


def test_every_stages_deploy_net_has_real_caffes_shapes_and_parameters(
    caffe_python: str, tmp_path: Path
) -> None:
    made = {stage.name: nets.deploy(stage, DataSet()) for stage in STAGES}
    paths = {name: tmp_path / f"{name}.prototxt" for name in made}
    for name, net in made.items():
        text.write(paths[name], net)
    (tmp_path / "in.json").write_text(json.dumps([[str(p), schema.TEST] for p in paths.values()]))
    run_python(caffe_python, SCRIPT, "shapes", tmp_path / "in.json", tmp_path / "out.json")
    answers = json.loads((tmp_path / "out.json").read_text())
    for (name, net), real in zip(made.items(), answers):
        ours = shapes.infer(net, schema.TEST)
        blobs = {blob: list(shape) for blob, shape in ours.blobs.items()}
        assert blobs == {k: v for k, v in real["blobs"].items() if "_split_" not in k}, name
        parameters = {x.name: [list(p) for p in x.parameters] for x in ours.layers if x.parameters}
        assert parameters == real["parameters"], name


def _stage_shapes(number: int, batch: int = 128) -> shapes.NetShapes:
    net = nets.train_val(stage(number), DataSet(), batch, 100, std=0.01)
    return shapes.infer(net, schema.TRAIN)


def test_stage_1_counts_are_those_of_a_hand_calculation() -> None:
    found = _stage_shapes(1)
    # 64 - 5 + 1 = 60, pooled 30; 30 - 5 + 1 = 26, pooled 13; 13 - 3 + 1 = 11, pooled up to 6
    assert found.blobs["conv1"] == (128, 50, 60, 60)
    assert found.blobs["pool3"] == (128, 200, 6, 6)
    weights = 50 * 3 * 25 + 100 * 50 * 25 + 200 * 100 * 9 + 400 * 7200 + 200 * 400
    biases = 50 + 100 + 200 + 400 + 200
    assert found.parameters == weights + biases == 3_269_700
    per_image = 60 * 60 * 3_750 + 26 * 26 * 125_000 + 11 * 11 * 180_000 + 2_880_000 + 80_000
    assert found.multiply_adds == 128 * per_image == 128 * 122_740_000


def test_stage_7_counts_are_those_of_a_hand_calculation() -> None:
    found = _stage_shapes(7)
    # 60 -> 56, pooled 28; 26, 24, 22, pooled 11; 9, pooled up to 5
    assert found.blobs["pool3"] == (128, 256, 5, 5)
    weights = 64 * 75 + 128 * 64 * 9 + 2 * 128 * 128 * 9 + 256 * 128 * 9 + 2048 * 6400 + 200 * 2048
    biases = 64 + 3 * 128 + 256 + 2048 + 200
    assert found.parameters == weights + biases == 14_188_104
    convolutions = 56 * 56 * 4_800 + 26 * 26 * 73_728 + (24 * 24 + 22 * 22) * 147_456
    convolutions += 9 * 9 * 294_912
    assert found.multiply_adds == 128 * (convolutions + 13_107_200 + 409_600)


def test_memory_counts_every_blob_twice_and_every_parameter_three_times() -> None:
    net = text.parse(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 10 } } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 3 } }"
        'layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }',
        schema.NetParameter,
        "small",
    )
    found = shapes.infer(net, schema.TRAIN)
    assert found.training_memory == 4 * (2 * (2 * 10 + 2 * 3) + 3 * (3 * 10 + 3))


def test_a_shared_parameter_counts_once() -> None:
    layer = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" param {{ name: "w" }} '
        "inner_product_param {{ num_output: 3 bias_term: false }} }}"
    )
    source = 'input: "x" input_shape { dim: 2 dim: 10 }' + layer.format("a") + layer.format("b")
    found = shapes.infer(text.parse(source, schema.NetParameter, "shared"), schema.TEST)
    assert found.parameters == 30


def test_rules_choose_the_layers_of_a_phase() -> None:
    net = nets.train_val(stage(3), DataSet(), 128, 50, std=0.01)
    assert shapes.infer(net, schema.TRAIN).blobs["data"] == (128, 3, 60, 60)
    testing = shapes.infer(net, schema.TEST).blobs
    assert testing["data"] == (50, 3, 60, 60)
    assert {"accuracy", "accuracy_top5", "loss"} <= set(testing)
    assert "accuracy" not in shapes.infer(net, schema.TRAIN).blobs


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "Convolution" bottom: "y" top: "z"', "layer x: no blob 'y' before it"),
        (
            'type: "Convolution" bottom: "data" top: "z" convolution_param { num_output: 1 '
            "kernel_size: 9 }",
            r"layer x \(Convolution\): a kernel of \(9, 9\) on a blob of \(8, 8\)",
        ),
        (
            'type: "Convolution" bottom: "data" top: "z" convolution_param { num_output: 1 }',
            "kernel_size must be given once, or once per spatial axis; got 0 for 2 axes",
        ),
        (
            'type: "Pooling" bottom: "data" top: "z" pooling_param { kernel_size: 2 stride: 0 }',
            r"layer x \(Pooling\)",
        ),
        ('type: "Pooling" bottom: "data" top: "z"', "kernel_size 0 must be positive"),
        ('type: "Python" bottom: "data" top: "z"', "shape of a 'Python' layer is not known"),
        ('type: "Flatten" bottom: "data" top: "z" flatten_param { axis: 4 }', "axis 4 of a blob"),
    ],
)
def test_an_inconsistent_net_is_an_error_that_names_the_layer(layer: str, message: str) -> None:
    source = f'input: "data" input_dim: [1, 3, 8, 8] layer {{ name: "x" {layer} }}'
    with pytest.raises(TinynetError, match=message):
        shapes.infer(text.parse(source, schema.NetParameter, "bad"), schema.TEST)
