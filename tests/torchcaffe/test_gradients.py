"""The gradient of every layer type is the slope of what it computes, by central differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torchcaffe.gradient_check import check_gradients
from tests.torchcaffe.layer_cases import LAYERS, Case, positive, whole
from tests.torchcaffe.layer_cases.recurrent import RECURRENT
from tests.torchcaffe.small_nets import GAUSSIAN

_CONV = f"num_output: 4 {GAUSSIAN}"
_LABELED = {"x": (3, 4, 2), "label": whole(1, (3, 2), 4)}
_PASS = "propagate_down: true propagate_down: false"
_STAGES = {
    "convolution": Case(
        "Convolution",
        f"convolution_param {{ {_CONV} kernel_size: 3 pad: 1 stride: 2 group: 2 }}",
        {"x": (2, 4, 3, 4)},
    ),
    "convolution of eight outputs": Case(
        "Convolution",
        f"convolution_param {{ num_output: 8 {GAUSSIAN} kernel_size: 2 stride: 2 }}",
        {"x": (2, 2, 5, 4)},
    ),
    "convolution of eight outputs, no bias": Case(
        "Convolution",
        "convolution_param { num_output: 8 kernel_h: 1 kernel_w: 3 bias_term: false "
        'weight_filler { type: "gaussian" std: 0.3 } }',
        {"x": (2, 2, 2, 4)},
    ),
    "inner product": Case("InnerProduct", f"inner_product_param {{ {_CONV} }}", {"x": (3, 2, 3)}),
    "inner product transposed": Case(
        "InnerProduct", f"inner_product_param {{ {_CONV} transpose: true }}", {"x": (3, 5)}
    ),
    "max pooling": Case("Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"),
    "average pooling": Case(
        "Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"
    ),
    "stochastic pooling in test": Case(
        "Pooling",
        "pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }",
        {"x": positive(3, (2, 3, 6, 5))},
        phase=1,
    ),
    "relu": Case("ReLU", "relu_param { negative_slope: 0.1 }"),
    "softmax": Case("Softmax"),
    "dropout in test": Case("Dropout", phase=1),
    "softmax loss": Case("SoftmaxWithLoss", _PASS, _LABELED),
    "softmax loss ignores": Case(
        "SoftmaxWithLoss", f"{_PASS} loss_param {{ ignore_label: 2 }} loss_weight: 2", _LABELED
    ),
    "split": Case("Split", "", {"x": (2, 3)}, "y z"),
}
# at a kink, or where whole numbers tie, there is no slope to compare with; and Caffe's MVN leaves
# its eps out of the slope of the standard deviation
_KINKS = ("max of ties", "reduction asum of zeros", "mvn across channels")
# a hidden state carries over from one energy to the next: their own test begins its sequences anew
_ELSEWHERE = (*_KINKS, *RECURRENT)
CASES = {
    name: case
    for name, case in {**LAYERS, **_STAGES}.items()
    if name not in _ELSEWHERE and case.type != "Threshold"
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_slope(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    case = CASES[name]
    check_gradients(
        case.text, case.arrays, case.driven_tops, case.learned_inputs, tmp_path, case.phase
    )
