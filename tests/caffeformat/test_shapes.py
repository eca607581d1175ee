"""Shapes and parameter counts are real Caffe's, and the stages' are what a hand calculates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_python
from tinynet.caffeformat import schema, shapes, text
from tinynet.errors import TinynetError
from tinynet.experiment import nets
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.stages import STAGES, stage

SCRIPT = Path(__file__).with_name("in_caffe.py")
Compare = Callable[[dict[str, Any]], None]

# Nets for what the stages do not have: pads, strides, groups, dilation, ceiling, joins and cuts.
POOLINGS = [
    (size, kernel, stride, pad)
    for size in (7, 8, 11)
    for kernel, stride, pad in [(2, 2, 0), (2, 2, 1), (3, 2, 0), (3, 2, 1), (3, 3, 2), (2, 3, 1)]
]


def _pooling_net() -> str:
    layers = []
    for index, (size, kernel, stride, pad) in enumerate(POOLINGS):
        method = ("MAX", "AVE")[index % 2]
        layers.append(
            f'layer {{ name: "in{index}" type: "Input" top: "in{index}" input_param {{ shape {{ '
            f"dim: 2 dim: 3 dim: {size} dim: {size + 2} }} }} }}"
            f'layer {{ name: "pool{index}" type: "Pooling" bottom: "in{index}" top: "out{index}" '
            f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} "
            f"pad: {pad} }} }}"
        )
    return "".join(layers)


ZOO = """
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 6 dim: 13 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "x" bottom: "y" top: "c1" top: "c2"
  convolution_param { num_output: 8 kernel_h: 3 kernel_w: 2 pad: 2 pad: 1 stride: 2 group: 2 } }
layer { name: "dilated" type: "Convolution" bottom: "x" top: "d"
  convolution_param { num_output: 4 kernel_size: 3 dilation: 2 bias_term: false } }
layer { name: "up" type: "Deconvolution" bottom: "x" top: "u"
  convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 2 } }
layer { name: "global" type: "Pooling" bottom: "x" top: "g" pooling_param { pool: AVE global_pooling: true } }
layer { name: "uneven" type: "Pooling" bottom: "x" top: "p" top: "mask"
  pooling_param { kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0 } }
layer { name: "norm" type: "BatchNorm" bottom: "x" top: "n" }
layer { name: "scale" type: "Scale" bottom: "n" top: "n" scale_param { bias_term: true num_axes: 2 } }
layer { name: "bias" type: "Bias" bottom: "n" top: "n" bias_param { axis: -1 } }
layer { name: "prelu" type: "PReLU" bottom: "n" top: "n" }
layer { name: "prelu1" type: "PReLU" bottom: "n" top: "n" prelu_param { channel_shared: true } }
layer { name: "lrn" type: "LRN" bottom: "n" top: "l" }
layer { name: "slice" type: "Slice" bottom: "x" top: "s1" top: "s2" top: "s3" slice_param { slice_point: 1 slice_point: 4 } }
layer { name: "halves" type: "Slice" bottom: "x" top: "h1" top: "h2" }
layer { name: "concat" type: "Concat" bottom: "s1" bottom: "h1" bottom: "s3" top: "j" }
layer { name: "flat" type: "Flatten" bottom: "x" top: "f" flatten_param { axis: 2 } }
layer { name: "reshape" type: "Reshape" bottom: "x" top: "r" reshape_param { shape { dim: 0 dim: -1 dim: 3 } axis: 0 num_axes: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "f" top: "fc" inner_product_param { num_output: 5 axis: 2 transpose: true } }
layer { name: "tile" type: "Tile" bottom: "fc" top: "t" tile_param { axis: 1 tiles: 3 } }
layer { name: "sum" type: "Reduction" bottom: "x" top: "sum" reduction_param { axis: 2 } }
layer { name: "crop" type: "Crop" bottom: "x" bottom: "d" top: "cr" crop_param { axis: 2 offset: 1 } }
layer { name: "top" type: "ArgMax" bottom: "fc" top: "a" argmax_param { axis: 1 top_k: 2 } }
layer { name: "top_all" type: "ArgMax" bottom: "fc" top: "b" argmax_param { out_max_val: true top_k: 2 } }
layer { name: "dummy" type: "DummyData" top: "label" dummy_data_param { shape { dim: 2 } } }
layer { name: "words" type: "Embed" bottom: "label" top: "e" embed_param { input_dim: 7 num_output: 3 } }
layer { name: "scores" type: "InnerProduct" bottom: "x" top: "scores" inner_product_param { num_output: 4 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "scores" bottom: "label" top: "acc" top: "per_class" }
layer { name: "memory" type: "MemoryData" top: "m" top: "ml" memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 } }
layer { name: "columns" type: "Im2col" bottom: "x" top: "i" convolution_param { kernel_size: 3 stride: 2 } }
"""  # noqa: E501


@pytest.fixture
def compare(caffe_python: str, tmp_path: Path) -> Compare:
    """``compare({name: net})``: ours must equal what real Caffe builds of the same text."""

    def compare(made: dict[str, Any]) -> None:
        paths = {name: tmp_path / f"{name}.prototxt" for name in made}
        for name, net in made.items():
            text.write(paths[name], net)
        requests = [[str(path), schema.TEST] for path in paths.values()]
        (tmp_path / "in.json").write_text(json.dumps(requests))
        run_python(caffe_python, SCRIPT, "shapes", tmp_path / "in.json", tmp_path / "out.json")
        answers = json.loads((tmp_path / "out.json").read_text())
        for (name, net), real in zip(made.items(), answers):
            ours = shapes.infer(net, schema.TEST)
            blobs = {blob: list(shape) for blob, shape in ours.blobs.items()}
            inserted = {blob for blob in real["blobs"] if "_split_" in blob}  # by Caffe itself
            assert set(blobs) == set(real["blobs"]) - inserted, name
            for blob, shape in blobs.items():
                assert shape == real["blobs"][blob], f"{name}: {blob}"
            parameters = {x.name: [list(p) for p in x.parameters] for x in ours.layers}
            for layer, expected in real["parameters"].items():
                assert parameters.pop(layer) == expected, f"{name}: {layer}"
            assert not any(parameters.values())

    return compare


def test_every_stages_deploy_net_has_real_caffes_shapes_and_parameters(compare: Compare) -> None:
    compare({stage.name: nets.deploy(stage, DataSet()) for stage in STAGES})


def test_pooling_rounds_up_and_clips_as_real_caffe(compare: Compare) -> None:
    compare({"poolings": text.parse(_pooling_net(), schema.NetParameter, "poolings")})


def test_other_layers_have_real_caffes_shapes_and_parameters(compare: Compare) -> None:
    compare({"zoo": text.parse(ZOO, schema.NetParameter, "zoo")})


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
