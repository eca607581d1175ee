"""Nets of one layer each, in many settings: what the comparisons and gradient checks run over."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.torchcaffe.small_nets import GAUSSIAN, Shape, layer, net, normal

_LOSS_TYPES = ("EuclideanLoss", "HingeLoss", "SigmoidCrossEntropyLoss", "SoftmaxWithLoss")


class Case(NamedTuple):
    """One layer from ``inputs`` (name → shape, or values) to ``tops``."""

    type: str
    parameters: str = ""
    inputs: dict[str, Shape | np.ndarray] = {"x": (2, 3, 3, 4)}
    tops: str = "y"
    phase: int = 0

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {
            name: given if isinstance(given, np.ndarray) else normal(7 + number, given)
            for number, (name, given) in enumerate(self.inputs.items())
        }

    @property
    def driven_tops(self) -> list[str]:
        """The tops whose diff is given; a loss has its own."""
        return [] if self.type in _LOSS_TYPES else self.tops.split()

    @property
    def learned_inputs(self) -> list[str]:
        """The inputs that have a gradient: labels and logistic targets (t) have none."""
        both = self.type not in _LOSS_TYPES or self.type == "EuclideanLoss"
        return [name for name in self.inputs if both or name == "x"]

    @property
    def request(self) -> dict[str, Any]:
        """Two passes whose parameter diffs add up; what is written over a diff shows by that."""
        return {
            "net": self.text,
            "top_diffs": self.driven_tops,
            "phase": self.phase,
            "passes": 2,
            "clear": False,
        }

    @property
    def normalizes_by_batch(self) -> bool:
        """Whether this is a BatchNorm that uses its batch's own mean and variance."""
        if self.type != "BatchNorm" or "use_global_stats: true" in self.parameters:
            return False
        return self.phase == 0 or "use_global_stats: false" in self.parameters

    @property
    def text(self) -> str:
        shapes = [(name, array.shape) for name, array in self.arrays.items()]
        return net(layer(self.type, " ".join(self.inputs), self.tops, self.parameters), *shapes)


def positive(seed: int, shape: Shape) -> np.ndarray:
    return np.abs(normal(seed, shape)) + np.float32(0.1)


def whole(seed: int, shape: Shape, end: int, start: int = 0) -> np.ndarray:
    """Whole numbers from ``start`` up to, but not with, ``end``."""
    return np.random.default_rng(seed).integers(start, end, shape).astype(np.float32)


def _named(word: str, field: str, settings: dict[str, str], **more: object) -> dict[str, str]:
    return {f"{word} {name}".strip(): f"{field} {{ {text} }}" for name, text in settings.items()}


_ROW: dict[str, Shape | np.ndarray] = {"x": (4, 7)}
_WIDE: dict[str, Shape | np.ndarray] = {"x": (2, 6, 3, 4)}
_PAIR: dict[str, Shape | np.ndarray] = {"a": (2, 3, 4), "b": (2, 3, 4)}
_THREE: dict[str, Shape | np.ndarray] = {**_PAIR, "c": (2, 3, 4)}
_TIES: dict[str, Shape | np.ndarray] = {
    name: whole(seed, (4, 6), 3) for seed, name in enumerate("abc")
}
_UNIFORM = 'filler { type: "uniform" min: -1 max: 1 }'

NEURONS = {
    "sigmoid": Case("Sigmoid"),
    "sigmoid saturated": Case("Sigmoid", inputs={"x": normal(1, (4, 5)) * 40}),
    "tanh": Case("TanH"),
    "tanh saturated": Case("TanH", inputs={"x": normal(1, (4, 5)) * 20}),
    "elu": Case("ELU"),
    "elu alpha": Case("ELU", "elu_param { alpha: 0.3 }"),
    "elu alpha 0": Case("ELU", "elu_param { alpha: 0 }"),
    "absval": Case("AbsVal"),
    "prelu": Case("PReLU"),
    "prelu filler": Case("PReLU", f"prelu_param {{ {_UNIFORM} }}"),
    "prelu shared": Case("PReLU", "prelu_param { channel_shared: true }"),
    "prelu rows": Case("PReLU", f"prelu_param {{ {_UNIFORM} }}", _ROW),
    "power": Case("Power"),
    "power scale shift": Case("Power", "power_param { scale: -0.5 shift: 2 }"),
    "power 2": Case("Power", "power_param { power: 2 scale: 0.7 }"),
    "power 2 shift": Case("Power", "power_param { power: 2 scale: 0.7 shift: -0.3 }"),
    "power 3": Case("Power", "power_param { power: 3 scale: 0.4 }"),
    "power 3 shift": Case("Power", "power_param { power: 3 scale: 0.4 shift: 1.5 }"),
    "power 0": Case("Power", "power_param { power: 0 shift: 3 }"),
    "power scale 0": Case("Power", "power_param { power: 3 scale: 0 shift: 1.5 }"),
    "power root": Case("Power", "power_param { power: 0.5 }", {"x": positive(1, (4, 5))}),
    "power inverse": Case(
        "Power", "power_param { power: -0.75 scale: 2 shift: 1 }", {"x": positive(1, (4, 5))}
    ),
    "exp": Case("Exp"),
    "exp base": Case("Exp", "exp_param { base: 2.5 }"),
    "exp base scale shift": Case("Exp", "exp_param { base: 0.4 scale: 1.5 shift: -0.7 }"),
    "exp natural scale shift": Case("Exp", "exp_param { scale: -1.5 shift: 0.7 }"),
    "exp base 1": Case("Exp", "exp_param { base: 1 scale: 2 }"),
    "log": Case("Log", inputs={"x": positive(2, (4, 5))}),
    "log base": Case("Log", "log_param { base: 10 }", {"x": positive(2, (4, 5))}),
    "log base scale shift": Case(
        "Log", "log_param { base: 0.5 scale: 3 shift: 0.2 }", {"x": positive(2, (4, 5))}
    ),
}

NORMALIZATIONS = {
    "lrn": Case("LRN", inputs=_WIDE),
    "lrn k alpha beta": Case("LRN", "lrn_param { local_size: 3 alpha: 0.9 beta: 0.4 k: 2 }", _WIDE),
    "lrn beyond all channels": Case("LRN", "lrn_param { local_size: 11 alpha: 2 }"),
    "lrn 1": Case("LRN", "lrn_param { local_size: 1 alpha: 2 }"),
    "lrn within": Case(
        "LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 0.9 k: 5 }"
    ),
    "lrn within wider than the picture": Case(
        "LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 7 alpha: 3 beta: 0.5 }"
    ),
    "batch norm": Case("BatchNorm"),
    "batch norm rows": Case("BatchNorm", inputs={"x": (6, 3)}),
    "batch norm five axes": Case("BatchNorm", inputs={"x": (2, 3, 2, 3, 2)}),
    "batch norm one value": Case("BatchNorm", "batch_norm_param { eps: 0.1 }", {"x": (1, 4)}),
    "batch norm fraction eps": Case(
        "BatchNorm", "batch_norm_param { moving_average_fraction: 0.6 eps: 0.01 }"
    ),
    "batch norm in test, without statistics": Case("BatchNorm", phase=1),
    "batch norm of the batch in test": Case(
        "BatchNorm", "batch_norm_param { use_global_stats: false }", phase=1
    ),
    "batch norm global in train": Case(
        "BatchNorm",
        "batch_norm_param { use_global_stats: true } blobs { shape { dim: 3 } data: [1, -1, 2] } "
        "blobs { shape { dim: 3 } data: [4, 1, 9] } blobs { shape { dim: 1 } data: 2.5 }",
        {"x": (2, 3, 2)},
    ),
    "scale": Case("Scale"),
    "scale filler bias": Case(
        "Scale",
        f"scale_param {{ {_UNIFORM} bias_term: true bias_{_UNIFORM} }}",
    ),
    "scale rows": Case("Scale", f"scale_param {{ {_UNIFORM} bias_term: true }}", _ROW),
    "scale scalar": Case(
        "Scale", f"scale_param {{ axis: 0 num_axes: 0 {_UNIFORM} bias_term: true }}"
    ),
    "scale two axes": Case("Scale", f"scale_param {{ num_axes: 2 {_UNIFORM} bias_term: true }}"),
    "scale to the end": Case("Scale", f"scale_param {{ axis: -2 num_axes: -1 {_UNIFORM} }}"),
    "scale everything": Case("Scale", f"scale_param {{ axis: 0 num_axes: -1 {_UNIFORM} }}"),
    "scale one picture": Case("Scale", f"scale_param {{ {_UNIFORM} }}", {"x": (1, 3, 2, 2)}),
    "scale by a bottom": Case("Scale", "", {"x": (3, 4, 2, 2), "s": (4,)}),
    "scale by a bottom, biased": Case(
        "Scale",
        f"scale_param {{ axis: 0 bias_term: true bias_{_UNIFORM} }}",
        {"x": (3, 4, 5), "s": (3, 4)},
    ),
    "scale by a scalar bottom": Case("Scale", "", {"x": (3, 4, 5), "s": ()}),
    "scale by a bottom of its shape": Case(
        "Scale", "scale_param { axis: 0 }", {"x": (3, 4), "s": (3, 4)}
    ),
    "bias": Case("Bias", f"bias_param {{ {_UNIFORM} }}"),
    "bias default": Case("Bias"),
    "bias scalar": Case("Bias", f"bias_param {{ num_axes: 0 {_UNIFORM} }}"),
    "bias axes": Case("Bias", f"bias_param {{ axis: -3 num_axes: 2 {_UNIFORM} }}"),
    "bias everything": Case("Bias", f"bias_param {{ axis: 0 num_axes: -1 {_UNIFORM} }}", _ROW),
    "bias by a bottom": Case("Bias", "bias_param { axis: 2 }", {"x": (2, 4, 5, 2), "b": (5,)}),
    "bias by a scalar bottom": Case("Bias", "", {"x": (3, 4), "b": ()}),
}

COMBINATIONS = {
    "sum": Case("Eltwise", inputs=_PAIR),
    "sum coeff": Case("Eltwise", "eltwise_param { coeff: [0.5, -1, 2] }", _THREE),
    "product": Case("Eltwise", "eltwise_param { operation: PROD }", _THREE),
    "product by division": Case(
        "Eltwise", "eltwise_param { operation: PROD stable_prod_grad: false }", _THREE
    ),
    "max": Case("Eltwise", "eltwise_param { operation: MAX }", _THREE),
    "max of ties": Case("Eltwise", "eltwise_param { operation: MAX }", _TIES),
    "concat": Case("Concat", "", {"a": (2, 3, 4), "b": (2, 1, 4), "c": (2, 5, 4)}),
    "concat axis": Case("Concat", "concat_param { axis: -1 }", {"a": (2, 3), "b": (2, 4)}),
    "concat batches": Case("Concat", "concat_param { axis: 0 }", {"a": (2, 3), "b": (4, 3)}),
    "concat dim": Case(
        "Concat", "concat_param { concat_dim: 2 }", {"a": (2, 3, 1), "b": (2, 3, 4)}
    ),
    "concat one": Case("Concat"),
    "slice equal": Case("Slice", "", {"x": (2, 6, 3)}, "y z w"),
    "slice points": Case("Slice", "slice_param { slice_point: [1, 4] }", {"x": (2, 6, 3)}, "y z w"),
    "slice axis": Case("Slice", "slice_param { axis: -1 slice_point: 2 }", {"x": (2, 3, 5)}, "y z"),
    "slice dim": Case("Slice", "slice_param { slice_dim: 0 }", {"x": (4, 3)}, "y z"),
    "slice one": Case("Slice"),
    "flatten": Case("Flatten"),
    "flatten axes": Case("Flatten", "flatten_param { axis: -3 end_axis: 2 }"),
    "flatten all": Case("Flatten", "flatten_param { axis: 0 }"),
    "reshape": Case("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 2 } }"),
    "reshape to a vector": Case("Reshape", "reshape_param { shape { dim: -1 } }"),
    "reshape axis": Case(
        "Reshape", "reshape_param { shape { dim: 3 dim: 1 } axis: 1 num_axes: 1 }"
    ),
    "reshape adds an axis": Case(
        "Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }"
    ),
    "reshape drops axes": Case(
        "Reshape", "reshape_param { shape { dim: -1 } axis: 1 num_axes: 2 }"
    ),
    "reduction": Case("Reduction"),
    "reduction sum coeff": Case("Reduction", "reduction_param { axis: 1 coeff: -0.5 }"),
    "reduction mean": Case("Reduction", "reduction_param { operation: MEAN axis: 2 coeff: 3 }"),
    "reduction asum": Case("Reduction", "reduction_param { operation: ASUM axis: -1 }"),
    "reduction asum of zeros": Case(
        "Reduction", "reduction_param { operation: ASUM axis: 1 }", {"x": whole(1, (3, 9), 2, -1)}
    ),
    "reduction sumsq": Case("Reduction", "reduction_param { operation: SUMSQ axis: 1 coeff: 2 }"),
    "silence": Case("Silence", "", _PAIR, ""),
}

_SCORES = normal(1, (5, 4, 2, 1))
_LABELS = whole(2, (5,), 8)
_TARGETS = np.random.default_rng(3).random((5, 4, 2, 1)).astype(np.float32)
_MARKED = whole(4, (5, 4, 2, 1), 2, -1)
_LOGISTIC = {"x": _SCORES * 3, "t": _TARGETS}
_IGNORED = {"x": _SCORES * 3, "t": _MARKED}
_PASS = "propagate_down: true propagate_down: false"


def _logistic(parameters: str, inputs: dict[str, np.ndarray]) -> Case:
    return Case("SigmoidCrossEntropyLoss", f"{_PASS} {parameters}", dict(inputs))


LOSSES = {
    "euclidean": Case("EuclideanLoss", "", {"x": (3, 4, 2), "t": (3, 2, 4)}),
    "euclidean weighted": Case("EuclideanLoss", "loss_weight: 0.3", {"x": (3, 4), "t": (3, 4)}),
    "hinge": Case("HingeLoss", _PASS, {"x": _SCORES, "t": _LABELS}),
    "hinge l2": Case(
        "HingeLoss", f"{_PASS} hinge_loss_param {{ norm: L2 }}", {"x": _SCORES, "t": _LABELS}
    ),
    "hinge weighted": Case("HingeLoss", f"{_PASS} loss_weight: 3", {"x": _SCORES, "t": _LABELS}),
    "logistic": _logistic("", _LOGISTIC),
    "logistic saturated": _logistic("", {"x": _SCORES * 60, "t": _TARGETS}),
    "logistic weighted": _logistic("loss_weight: 0.2", _LOGISTIC),
    "logistic ignores": _logistic("loss_param { ignore_label: -1 }", _IGNORED),
    "logistic valid": _logistic("loss_param { ignore_label: -1 normalization: VALID }", _IGNORED),
    "logistic valid, all of it": _logistic("loss_param { normalization: VALID }", _LOGISTIC),
    "logistic full": _logistic("loss_param { ignore_label: -1 normalization: FULL }", _IGNORED),
    "logistic none": _logistic("loss_param { normalization: NONE }", _LOGISTIC),
    "logistic normalized, as older nets say it": _logistic(
        "loss_param { ignore_label: -1 normalize: true }", _IGNORED
    ),
    "logistic not normalized": _logistic(
        "loss_param { ignore_label: -1 normalize: false }", _IGNORED
    ),
}


def _conv(parameters: str, inputs: dict[str, Shape | np.ndarray], tops: str = "y") -> Case:
    return Case("Convolution", f"convolution_param {{ {parameters} {GAUSSIAN} }}", inputs, tops)


CONVOLUTIONS = {
    "conv over one axis": _conv("num_output: 3 kernel_size: 3 pad: 1", {"x": (2, 4, 7)}),
    "conv over three axes": _conv(
        "num_output: 4 kernel_size: 2 stride: [2, 1, 1] group: 2", {"x": (2, 4, 4, 3, 3)}
    ),
    "conv over none": _conv("num_output: 3", {"x": (2, 4)}),
    "conv by lists": _conv(
        "num_output: 3 kernel_size: [2, 3] pad: [0, 1] dilation: [1, 2]", {"x": (2, 3, 5, 6)}
    ),
    "conv axis 2": _conv("num_output: 3 kernel_size: 3 axis: 2", {"x": (2, 2, 3, 4, 5)}),
    "conv axis 0": _conv("num_output: 3 kernel_size: 3 axis: -3", {"x": (3, 5, 6)}),
    "conv of two": _conv(
        "num_output: 3 kernel_size: 3", {"a": (1, 2, 4, 5), "b": (1, 2, 4, 5)}, "y z"
    ),
}

LAYERS = {**CONVOLUTIONS, **NEURONS, **NORMALIZATIONS, **COMBINATIONS, **LOSSES}
