"""Every layer type of Caffe's last release is registered."""

from __future__ import annotations

import tinynet.torchcaffe as caffe
from tinynet.caffeformat import shape_rules

# what caffe.layer_type_list() of Debian 11's python3-caffe (1.0.0+git20180821) names
DEBIANS = (
    *("AbsVal", "Accuracy", "ArgMax", "BNLL", "BatchNorm", "BatchReindex", "Bias", "Clip"),
    *("Concat", "ContrastiveLoss", "Convolution", "Crop", "Data", "Deconvolution", "Dropout"),
    *("DummyData", "ELU", "Eltwise", "Embed", "EuclideanLoss", "Exp", "Filter", "Flatten"),
    *("HDF5Data", "HDF5Output", "HingeLoss", "Im2col", "ImageData", "InfogainLoss"),
    *("InnerProduct", "Input", "LRN", "LSTM", "LSTMUnit", "Log", "MVN", "MemoryData"),
    *("MultinomialLogisticLoss", "PReLU", "Parameter", "Pooling", "Power", "Python", "RNN"),
    *("ReLU", "Reduction", "Reshape", "SPP", "Scale", "Sigmoid", "SigmoidCrossEntropyLoss"),
    *("Silence", "Slice", "Softmax", "SoftmaxWithLoss", "Split", "Swish", "TanH", "Threshold"),
    *("Tile", "WindowData"),
)
# their shapes depend on a user's code, on a file or on the data
WITHOUT_RULE = {"Python", "HDF5Data", "Filter"}


def test_every_layer_type_of_debians_caffe_is_registered() -> None:
    assert len(DEBIANS) == 61
    assert not set(DEBIANS) - set(caffe.layer_type_list())


def test_every_layer_type_has_a_shape_rule() -> None:
    assert not set(caffe.layer_type_list()) - set(shape_rules.RULES) - WITHOUT_RULE
