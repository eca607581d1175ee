"""The shape rules give, without building a net, the shapes that the engine builds."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.layer_cases import LAYERS, Case
from tests.torchcaffe.layer_data import stored_shape, supply
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import schema, shapes, text
from tinynet.errors import TinynetError

# in addition to the layers that have gradients
CASES = {
    **LAYERS,
    "max pool and its mask": Case("Pooling", "pooling_param { kernel_size: 2 }", tops="y mask"),
    "accuracy": Case("Accuracy", "", {"x": (3, 5), "label": (3,)}, "y classes"),
    "argmax": Case("ArgMax", "argmax_param { top_k: 2 }", learned=()),
    "argmax values": Case("ArgMax", "argmax_param { out_max_val: true top_k: 2 }", learned=()),
    "argmax axis": Case("ArgMax", "argmax_param { axis: 1 top_k: 2 }", learned=()),
    "dummy": Case("DummyData", "dummy_data_param { shape { dim: 2 dim: 3 } }", {}, learned=()),
    "memory": Case(
        "MemoryData",
        "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }",
        {},
        "y label",
        learned=(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_of_tops_and_parameters_are_those_of_the_net_that_is_built(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    path = tmp_path / "net.prototxt"
    path.write_text(case.text)
    net = caffe.Net(path, case.phase)
    inferred = shapes.infer(text.read(path, schema.NetParameter), case.phase)
    built = {top: net.blobs[top].shape for top in inferred.blobs}
    assert inferred.blobs == built
    parameters = {layer: [blob.shape for blob in blobs] for layer, blobs in net.params.items()}
    assert {x.name: list(x.parameters) for x in inferred.layers if x.parameters} == parameters


# type, parameters, tops, C×H×W that the records or files are made for
SOURCES = {
    "data": ("Data", "data_param { backend: LMDB }", "x t", (3, 6, 7)),
    "data, no labels": ("Data", "data_param { backend: LMDB }", "x", (1, 6, 7)),
    "data, crop": (
        "Data",
        "data_param { backend: LMDB } transform_param { crop_size: 1 }",
        "x t",
        (3, 5, 5),
    ),
    "image list": ("ImageData", "image_data_param { }", "x t", (3, 6, 7)),
    "image list, gray": ("ImageData", "image_data_param { is_color: false }", "x t", (3, 6, 7)),
    "image list, crop": ("ImageData", "transform_param { crop_size: 1 }", "x t", (3, 5, 5)),
    "windows": ("WindowData", "transform_param { crop_size: 1 }", "x t", (3, 5, 5)),
    "windows, square": (
        "WindowData",
        'window_data_param { crop_mode: "square" context_pad: 1 } '
        "transform_param { crop_size: 1 mirror: true }",
        "x t",
        (3, 8, 8),
    ),
}


def net_with_data(case: str, folder: Path) -> tuple[schema.NetParameter, tuple[int, ...]]:
    """Return a net of one such layer with data to read, and the shape of its records."""
    kind, parameters, tops, shape = SOURCES[case]
    net = text.parse(layer(kind, "", tops, parameters), schema.NetParameter, case)
    supply(net, folder, shape, 3, 2)
    return net, stored_shape(net.layer[0], shape)


@pytest.mark.parametrize("case", SOURCES)
def test_the_shapes_of_an_image_source_are_those_of_its_batches(case: str, tmp_path: Path) -> None:
    net, records = net_with_data(case, tmp_path)
    (tmp_path / "net.prototxt").write_text(text.format(net))
    made = caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN)
    made.forward()
    built = {name: blob.data.shape for name, blob in made.blobs.items()}
    assert shapes.infer(net, caffe.TRAIN, records).blobs == built
    assert built["x"][0] == 2 and built["x"][1] == (1 if "gray" in case else records[0])


def test_images_of_a_list_that_are_not_resized_have_the_shape_given_to_the_rule(
    tmp_path: Path,
) -> None:
    net, _ = net_with_data("image list", tmp_path)
    net.layer[0].image_data_param.ClearField("new_height")
    net.layer[0].image_data_param.ClearField("new_width")
    assert shapes.infer(net, caffe.TRAIN, (3, 90, 80)).blobs["x"] == (2, 3, 90, 80)


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("HDF5Data", 'hdf5_data_param { source: "s" batch_size: 2 }', "datasets in its files"),
        ("WindowData", "window_data_param { batch_size: 2 }", "crop_size must be positive"),
        (
            "ImageData",
            "image_data_param { new_height: 4 new_width: 9 } transform_param { crop_size: 5 }",
            "crop_size 5 of an image of 4x9",
        ),
        ("Data", "transform_param { crop_size: 65 }", "crop_size 65 of an image of 64x64"),
    ],
)
def test_a_source_without_a_shape_is_named_with_the_reason(
    kind: str, parameters: str, message: str
) -> None:
    net = text.parse(layer(kind, "", "x t", parameters, "source"), schema.NetParameter, kind)
    with pytest.raises(TinynetError, match=f"source.*{message}"):
        shapes.infer(net, caffe.TRAIN)
