"""Small nets in the manner of Caffe's examples, each with its kind of data, beside real Caffe.

What the published nets do with their layers, ``test_published_nets_against_caffe`` asks where
Caffe's source lies; these are of our own, and ask it everywhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torchcaffe.conftest import Ask
from tests.torchcaffe.example_nets import Example, compare
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import schema, text

_XAVIER = 'weight_filler { type: "xavier" }'
_LEARN = "param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"
_TRAIN, _TEST = "include { phase: TRAIN }", "include { phase: TEST }"


def convolution(bottom: str, top: str, settings: str, rest: str = _LEARN) -> str:
    settings = f"convolution_param {{ {settings} {_XAVIER} }}"
    return layer("Convolution", bottom, top, f"{rest} {settings}", top)


def inner_product(bottom: str, top: str, outputs: int, rest: str = "", filler: str = "") -> str:
    settings = f"inner_product_param {{ num_output: {outputs} {filler or _XAVIER} }}"
    return layer("InnerProduct", bottom, top, f"{rest or _LEARN} {settings}", top)


def pool(bottom: str, top: str, settings: str = "pool: MAX kernel_size: 3 stride: 2") -> str:
    return layer("Pooling", bottom, top, f"pooling_param {{ {settings} }}", top)


def relu(blob: str) -> str:
    return layer("ReLU", blob, blob, "", f"relu_{blob}")


def scored(bottom: str, accuracy: str = _TEST) -> str:
    return layer("SoftmaxWithLoss", f"{bottom} label", "loss", "", "loss") + layer(
        "Accuracy", f"{bottom} label", "accuracy", accuracy, "accuracy"
    )


def siamese() -> str:
    """Two branches of shared parameters on the channels of one record, from a LevelDB."""

    def branch(data: str, end: str) -> str:
        def shared(name: str) -> str:
            return f'param {{ name: "{name}_w" }} param {{ name: "{name}_b" lr_mult: 2 }}'

        return (
            convolution(data, f"conv{end}", "num_output: 4 kernel_size: 5", shared("conv"))
            + pool(f"conv{end}", f"pool{end}", "pool: MAX kernel_size: 2 stride: 2")
            + inner_product(f"pool{end}", f"ip{end}", 8, shared("ip"))
            + relu(f"ip{end}")
            + inner_product(f"ip{end}", f"feat{end}", 2, shared("feat"))
        )

    data = "transform_param { scale: 0.00390625 } data_param { batch_size: 64 }"
    return (
        "".join(layer("Data", "", "pair sim", f"{p} {data}", "pair") for p in (_TRAIN, _TEST))
        + layer("Slice", "pair", "data data_p", "slice_param { slice_dim: 1 slice_point: 1 }")
        + branch("data", "")
        + branch("data_p", "_p")
        + layer("ContrastiveLoss", "feat feat_p sim", "loss", "", "loss")
    )


def autoencoder() -> str:
    """Sparse Gaussians, sigmoids, two losses (one of weight 0), and stages of test nets."""
    data = "data_param { backend: LMDB } transform_param { scale: 0.004 }"
    rules = [_TRAIN]
    rules += [f'include {{ phase: TEST stage: "{stage}" }}' for stage in ("on-train", "on-test")]
    sparse = 'weight_filler { type: "gaussian" std: 1 sparse: 4 }'
    coder = ""
    bottom = "data"
    for top, outputs in (("encode1", 30), ("code", 5), ("decode1", 30)):
        coder += inner_product(bottom, top, outputs, filler=sparse)
        bottom = f"{top}neuron"
        coder += layer("Sigmoid", top, bottom, "", bottom)
    return (
        "".join(layer("Data", "", "data", f"{rule} {data}", "data") for rule in rules)
        + layer("Flatten", "data", "flat", "", "flat")
        + coder
        + inner_product(bottom, "decode0", 100, filler=sparse)
        + layer(
            "SigmoidCrossEntropyLoss", "decode0 flat", "cross_entropy", "loss_weight: 1", "cross"
        )
        + layer("Sigmoid", "decode0", "decode0neuron", "", "decode0neuron")
        + layer("EuclideanLoss", "decode0neuron flat", "l2", "loss_weight: 0", "l2")
    )


def rows() -> str:
    """Logistic regression with a hidden layer, from HDF5."""
    return (
        "".join(layer("HDF5Data", "", "data label", rule, "data") for rule in (_TRAIN, _TEST))
        + inner_product("data", "fc1", 40, filler='weight_filler { type: "gaussian" std: 0.5 }')
        + relu("fc1")
        + inner_product("fc1", "fc2", 2)
        + scored("fc2")
    )


def _imagenet(data: str) -> str:
    """CaffeNet's first and last layers, on the given data layer."""
    return (
        data
        + convolution("data", "conv1", "num_output: 8 kernel_size: 11 stride: 4")
        + relu("conv1")
        + pool("conv1", "pool1")
        + layer("LRN", "pool1", "norm1", "lrn_param { local_size: 5 alpha: 0.0001 }", "norm1")
        + convolution("norm1", "conv2", "num_output: 8 pad: 2 kernel_size: 5 group: 2")
        + relu("conv2")
        + inner_product("conv2", "fc6", 16)
        + relu("fc6")
        + layer("Dropout", "fc6", "fc6", "dropout_param { dropout_ratio: 0.5 }", "drop6")
    )


def finetuning() -> str:
    """An image list, resized and cropped, with the mean of a file; the last layer learns faster."""
    transform = 'transform_param { mirror: %s crop_size: 227 mean_file: "a file" }'
    size = "image_data_param { new_height: 256 new_width: 256 }"
    data = "".join(
        layer("ImageData", "", "data label", f"{rule} {transform % mirror} {size}", "data")
        for rule, mirror in ((_TRAIN, "true"), (_TEST, "false"))
    )
    faster = "param { lr_mult: 10 } param { lr_mult: 20 decay_mult: 0 }"
    return _imagenet(data) + inner_product("fc6", "fc8_own", 10, faster) + scored("fc8_own")


def windows() -> str:
    """Windows about objects, warped with some of their surroundings."""
    transform = 'transform_param { mirror: true crop_size: 227 mean_file: "a file" }'
    settings = "fg_threshold: 0.5 bg_threshold: 0.5 fg_fraction: 0.25 context_pad: 16"
    rest = f'{transform} window_data_param {{ {settings} crop_mode: "warp" }}'
    data = "".join(
        layer("WindowData", "", "data label", f"{rule} {rest}", "data") for rule in (_TRAIN, _TEST)
    )
    return _imagenet(data) + inner_product("fc6", "fc8", 21) + scored("fc8", "")


def feature_extraction() -> str:
    """One data layer for both phases, Accuracy on probabilities, a Softmax beside the loss."""
    data = layer("ImageData", "", "data label", 'transform_param { mean_file: "a file" }', "data")
    tail = inner_product("fc6", "fc8", 10) + layer("Softmax", "fc8", "prob", "", "prob")
    tail += layer("Accuracy", "prob label", "accuracy", "", "accuracy")
    return _imagenet(data) + tail + layer("SoftmaxWithLoss", "fc8 label", "loss", "", "loss")


def fully_convolutional() -> str:
    """Net surgery: a classifier whose inner products have become convolutions."""
    shape = "shape { dim: 1 dim: 3 dim: 9 dim: 9 }"
    return (
        layer("Input", "", "data", f"input_param {{ {shape} }}", "data")
        + convolution("data", "conv1", "num_output: 6 kernel_size: 5 stride: 2")
        + relu("conv1")
        + pool("conv1", "pool1")
        + convolution("pool1", "fc6-conv", "num_output: 12 kernel_size: 6")
        + relu("fc6-conv")
        + convolution("fc6-conv", "fc8-conv", "num_output: 5 kernel_size: 1")
        + layer("Softmax", "fc8-conv", "prob", "", "prob")
    )


def cifar(norm: str) -> str:
    """MAX and AVE pooling with a last window cut short, LRN within channels, or BatchNorm."""
    data = 'transform_param { mean_file: "a file" } data_param { backend: LMDB }'
    made = "".join(
        layer("Data", "", "data label", f"{rule} {data}", "data") for rule in (_TRAIN, _TEST)
    )
    made += convolution("data", "conv1", "num_output: 6 pad: 2 kernel_size: 5")
    made += pool("conv1", "pool1") + norm + layer("Sigmoid", "norm1", "sigmoid1", "", "sigmoid1")
    made += convolution("sigmoid1", "conv2", "num_output: 6 pad: 2 kernel_size: 5")
    made += relu("conv2") + pool("conv2", "pool2", "pool: AVE kernel_size: 3 stride: 2")
    return made + inner_product("pool2", "ip1", 10) + scored("ip1")


_WITHIN = "lrn_param { local_size: 3 alpha: 5e-05 beta: 0.75 norm_region: WITHIN_CHANNEL }"
_FIXED = " ".join(["param { lr_mult: 0 }"] * 3)
NETS: dict[str, tuple[str, Example]] = {
    "siamese": (siamese(), Example((2, 16, 16), classes=2)),
    "autoencoder": (autoencoder(), Example((1, 10, 10), stages=("on-train",))),
    "autoencoder's second test net": (autoencoder(), Example((1, 10, 10), stages=("on-test",))),
    "rows": (rows(), Example((4,), classes=2)),
    "finetuning": (finetuning(), Example((3, 43, 43))),
    "windows": (windows(), Example((3, 43, 43), classes=21, batch=4)),
    "feature extraction": (feature_extraction(), Example((3, 43, 43))),
    "fully convolutional": (fully_convolutional(), Example((3, 33, 33), batch=1)),
    "cifar": (cifar(layer("LRN", "pool1", "norm1", _WITHIN, "norm1")), Example((3, 32, 32))),
    "cifar with batch norm": (
        cifar(layer("BatchNorm", "pool1", "norm1", _FIXED, "norm1")),
        Example((3, 32, 32)),
    ),
}


@pytest.mark.parametrize("phase", ["train", "test"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_modelled_on_an_example_of_caffe_agrees_in_every_blob_and_diff(
    name: str, phase: str, tmp_path: Path, ask_both: Ask, request: pytest.FixtureRequest
) -> None:
    if name == "cifar with batch norm" and phase == "train":
        request.getfixturevalue("caffe_that_normalizes_by_batch")
    written, example = NETS[name]
    compare(text.parse(written, schema.NetParameter, name), example, phase, tmp_path, ask_both)
