"""The complete nets of Caffe's source load and agree with real Caffe throughout.

Only batches and images are made smaller, and initial values wider.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.conftest import Ask, RealCaffe
from tests.torchcaffe.example_nets import Example, compare
from tinynet.caffeformat import schema, text

_MNIST = Example((1, 28, 28))
_CIFAR = Example((3, 32, 32))
_IMAGENET = Example((3, 67, 67), batch=2)  # the smallest size that leaves a pixel for fc6
_GOOGLENET = Example((3, 224, 224), classes=1000, batch=1)  # its last pooling window is 7×7
_ROWS = Example((4,), classes=2)

NETS: dict[str, Example] = {
    "examples/cifar10/cifar10_full.prototxt": _CIFAR,
    "examples/cifar10/cifar10_full_sigmoid_train_test.prototxt": _CIFAR,
    "examples/cifar10/cifar10_full_sigmoid_train_test_bn.prototxt": _CIFAR,
    "examples/cifar10/cifar10_full_train_test.prototxt": _CIFAR,
    "examples/cifar10/cifar10_quick.prototxt": _CIFAR,
    "examples/cifar10/cifar10_quick_train_test.prototxt": _CIFAR,
    "examples/feature_extraction/imagenet_val.prototxt": _IMAGENET,
    "examples/finetune_pascal_detection/pascal_finetune_trainval_test.prototxt": Example(
        (3, 67, 67), classes=21, batch=4
    ),
    "examples/hdf5_classification/nonlinear_auto_test.prototxt": _ROWS,
    "examples/hdf5_classification/nonlinear_auto_train.prototxt": _ROWS,
    "examples/hdf5_classification/nonlinear_train_val.prototxt": _ROWS,
    "examples/hdf5_classification/train_val.prototxt": _ROWS,
    "examples/mnist/lenet.prototxt": _MNIST,
    "examples/mnist/lenet_train_test.prototxt": _MNIST,
    "examples/mnist/mnist_autoencoder.prototxt": Example((1, 28, 28), stages=("test-on-train",)),
    # fc6-conv has windows of 6×6, so its top has more than one row and column
    "examples/net_surgery/bvlc_caffenet_full_conv.prototxt": Example((3, 259, 259), batch=1),
    "examples/net_surgery/conv.prototxt": Example((1, 100, 100), batch=1),
    "examples/pycaffe/linreg.prototxt": Example((), layers="examples/pycaffe/layers"),
    "examples/siamese/mnist_siamese.prototxt": _MNIST,
    "examples/siamese/mnist_siamese_train_test.prototxt": Example((2, 28, 28), classes=2),
    "models/bvlc_alexnet/deploy.prototxt": _IMAGENET,
    "models/bvlc_alexnet/train_val.prototxt": _IMAGENET,
    "models/bvlc_googlenet/deploy.prototxt": _GOOGLENET,
    "models/bvlc_googlenet/train_val.prototxt": _GOOGLENET,
    "models/bvlc_reference_caffenet/deploy.prototxt": _IMAGENET,
    "models/bvlc_reference_caffenet/train_val.prototxt": _IMAGENET,
    "models/bvlc_reference_rcnn_ilsvrc13/deploy.prototxt": _IMAGENET,
    "models/finetune_flickr_style/deploy.prototxt": _IMAGENET,
    "models/finetune_flickr_style/train_val.prototxt": _IMAGENET,
}
# ReLU and MAX in dozens of layers: rounding changes some of their decisions
_DEEP = (_IMAGENET.shape, _GOOGLENET.shape, (3, 259, 259))


@pytest.fixture
def python_layers(caffe_source: Path) -> Iterator[None]:
    """The ``import caffe`` of the examples' Python layers means this engine."""
    before, path = dict(sys.modules), list(sys.path)
    torchcaffe.install_as_caffe()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] in ("caffe", "pyloss"):
            del sys.modules[name]


@pytest.mark.long
def test_every_published_net_is_tested(caffe_source: Path) -> None:
    found = [
        *caffe_source.glob("examples/**/*.prototxt"),
        *caffe_source.glob("models/**/*.prototxt"),
    ]
    nets = {str(path.relative_to(caffe_source)) for path in found if "solver" not in path.name}
    assert nets == set(NETS)


@pytest.mark.long
@pytest.mark.parametrize("phase", ["train", "test"])
@pytest.mark.parametrize("file", NETS)
def test_a_published_net_agrees_in_every_blob_and_diff(
    file: str,
    phase: str,
    caffe_source: Path,
    python_layers: None,
    tmp_path: Path,
    ask_both: Ask,
    real_caffe: RealCaffe,
) -> None:
    net = text.read(caffe_source / file, schema.NetParameter)
    normalizes = any(layer.type == "BatchNorm" for layer in net.layer)
    if normalizes and phase == "train" and not real_caffe.normalizes_by_batch(tmp_path):
        pytest.skip("this Caffe's BatchNorm (kendryte-caffe's) has stored statistics even in TRAIN")
    example = NETS[file]
    if example.layers:
        example = dataclasses.replace(example, layers=str(caffe_source / example.layers))
    compare(net, example, phase, tmp_path, ask_both, example.shape not in _DEEP)


@pytest.mark.long
def test_the_autoencoder_has_a_second_test_net(
    caffe_source: Path, tmp_path: Path, ask_both: Ask
) -> None:
    net = text.read(caffe_source / "examples/mnist/mnist_autoencoder.prototxt", schema.NetParameter)
    compare(net, Example((1, 28, 28), stages=("test-on-test",)), "test", tmp_path, ask_both)
