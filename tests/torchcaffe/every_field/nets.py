"""Example nets that use every field of a net, a layer, a parameter and a filler.

The cases of the layer types are examples as well; the nets here use what no case uses.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.torchcaffe.every_field.observing import Example, net
from tests.torchcaffe.layer_cases import LAYERS, whole
from tests.torchcaffe.small_nets import layer, normal
from tests.torchcaffe.small_nets import net as net_of
from tinynet.caffeformat import schema

_X = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
_FILLED = 'weight_filler { type: "gaussian" } bias_filler { type: "uniform" }'


def _ip(bottom: str, top: str, more: str = "", filler: str = _FILLED) -> str:
    inner = f"inner_product_param {{ num_output: 3 {filler} }}"
    return layer("InnerProduct", bottom, top, f"{inner} {more}", f"{bottom}_{top}")


_LOSS = layer("Reduction", "z", "loss", "loss_weight: 1", "loss")
_BLOBS = {
    "shape and data": "shape { dim: 3 dim: 3 } data: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
    "doubles": "shape { dim: 3 dim: 3 } double_data: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
    "four numbers": "num: 1 channels: 1 height: 3 width: 3 data: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
    "diff": "shape { dim: 3 dim: 3 } data: [1, 2, 3, 4, 5, 6, 7, 8, 9] "
    "diff: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
    "doubles of diff": "shape { dim: 3 dim: 3 } double_data: [1, 2, 3, 4, 5, 6, 7, 8, 9] "
    "double_diff: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
}
_FILLERS = (
    'type: "constant" value: 3',
    'type: "uniform" min: -3 max: 5',
    'type: "gaussian" mean: 2 std: 0.5',
    'type: "gaussian" sparse: 1',
    'type: "xavier" variance_norm: FAN_OUT',
)
# the nets are built in the state TRAIN, level 0, stage "now"
_RULES = (
    "include { phase: TEST }",
    "include { min_level: 3 }",
    "include { max_level: -1 }",
    'include { stage: "later" }',
    'include { not_stage: "now" }',
    "exclude { phase: TRAIN }",
)
_DATA = {"x": normal(1, (2, 3))}


def _general() -> dict[str, str]:
    backward = "force_backward: true\n"
    nets = {
        "inputs": 'name: "n" input: "x" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 1\n'
        + _ip("x", "y"),
        "input shapes": 'input: "x" input_shape { dim: 2 dim: 3 }\n' + _ip("x", "y"),
        "backward": backward + _X + _ip("x", "y") + _ip("y", "z") + _LOSS,
        "debug": "debug_info: true\n" + _X + _ip("x", "y"),
        "state": 'state { stage: "here" }\n' + _X + _ip("x", "y", 'include { stage: "here" }'),
        "multipliers": _X + _ip("x", "z", "param { lr_mult: 0 }") + _LOSS,
        "down": backward + _X + _ip("x", "y") + _ip("y", "z", "propagate_down: false") + _LOSS,
        "weighted": backward + _X + layer("Reduction", "x", "z", "loss_weight: 2.5"),
        "a phase of its own": _X + layer("Dropout", "x", "z", "phase: TEST"),
        "shared": _X + _ip("x", "y", 'param { name: "w" }') + _ip("y", "z", 'param { name: "w" }'),
        "shared, of other shapes": _X
        + layer("Bias", "x", "q", 'param { name: "v" } bias_param { axis: 0 num_axes: 2 }', "b")
        + layer(
            "Parameter",
            "",
            "p",
            'param { name: "v" share_mode: PERMISSIVE } parameter_param { shape { dim: 6 } }',
            "p",
        ),
        "shared lr_mult": _X
        + _ip("x", "y", 'param { name: "w" lr_mult: 2 }')
        + _ip("y", "z", 'param { name: "w" lr_mult: 3 }'),
        "shared decay_mult": _X
        + _ip("x", "y", 'param { name: "w" decay_mult: 2 }')
        + _ip("y", "z", 'param { name: "w" decay_mult: 3 }'),
    }
    for what, blob in _BLOBS.items():
        nets[f"blobs: {what}"] = _X + layer(
            "InnerProduct",
            "x",
            "y",
            f"inner_product_param {{ num_output: 3 bias_term: false }} blobs {{ {blob} }}",
        )
    for filler in _FILLERS:
        given = f"num_output: 7 weight_filler {{ {filler} }} bias_filler {{ value: 2 }}"
        written = layer("InnerProduct", "x", "y", f"inner_product_param {{ {given} }}")
        nets[f"filler {filler}"] = _X + written
    for rule in _RULES:
        nets[f"rule {rule}"] = _X + _ip("x", "y", rule)
    return nets


def general() -> Iterator[Example]:
    """Nets, layers' common fields, parameters, fillers."""
    for name, written in _general().items():
        inputs = {} if "input:" in written else _DATA
        more = {"backward": "force_backward" in written, "clear": False, "inputs": inputs}
        more["stages"] = ["now"]
        yield net(name, written, schema.NetParameter, **more)


def layers() -> Iterator[Example]:
    """The cases of every layer type."""
    for name, case in LAYERS.items():
        request = {key: value for key, value in case.request.items() if key != "net"}
        more = {"backward": True, **request, "inputs": case.arrays}
        # BatchNorm's second pass uses the statistics of the first
        more["passes"] = 2 if case.type == "BatchNorm" else 1
        yield net(name, case.text, schema.NetParameter, **more)
    for name, written in _more_layers().items():
        shapes = {"x": (3, 5, 2, 2), "label": (3, 2, 2)} if "label" in written else {"x": (3, 5)}
        arrays = {"x": normal(4, shapes["x"])}
        if "label" in shapes:
            arrays["label"] = whole(5, shapes["label"], 5)
        given = net_of(written, *shapes.items(), force_backward=False)
        yield net(name, given, schema.NetParameter, inputs=arrays)


def _more_layers() -> dict[str, str]:
    found = {
        f"accuracy {more}": layer("Accuracy", "x label", "y", f"accuracy_param {{ {more} }}")
        for more in ("top_k: 2", "ignore_label: 1", "axis: 1")
    }
    found["accuracy of another axis"] = layer(
        "Reshape", "x", "r", "reshape_param { shape { dim: 3 dim: 2 dim: 2 dim: 5 } }", "r"
    ) + layer("Accuracy", "r label", "y", "accuracy_param { axis: 3 }")
    for more in ("ignore_label: 1", "normalization: NONE", "normalize: false"):
        loss = layer("SoftmaxWithLoss", "x label", "y", f"loss_param {{ {more} }}")
        found[f"loss {more}"] = loss
    for more in ("out_max_val: true", "top_k: 2", "axis: 1"):
        found[f"argmax {more}"] = layer("ArgMax", "x", "y", f"argmax_param {{ {more} }}")
    found["dropout"] = layer("Dropout", "x", "y", "dropout_param { dropout_ratio: 0.3 }")
    shape = "shape { dim: 2 dim: 3 }"
    found["parameter"] = layer("Parameter", "", "p", f"parameter_param {{ {shape} }}", "p")
    found["dummy"] = layer(
        "DummyData", "", "d", f"dummy_data_param {{ {shape} data_filler {{ value: 3 }} }}", "d"
    )
    found["dummy, of four numbers"] = layer(
        "DummyData", "", "d", "dummy_data_param { num: 1 channels: 2 height: 3 width: 4 }", "d"
    )
    found["pooling rounds down"] = layer(
        "Reshape", "x", "r", "reshape_param { shape { dim: 1 dim: 1 dim: 3 dim: 5 } }", "r"
    ) + layer("Pooling", "r", "y", "pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }")
    halves = layer(
        "Slice", "x", "a b n", "slice_param { axis: 1 slice_point: [2, 4] }", "halves"
    ) + layer("Flatten", "n", "s", "flatten_param { axis: 0 }", "flat")
    for more in ("margin: 9", "legacy_version: true"):
        found[f"contrastive {more}"] = halves + layer(
            "ContrastiveLoss", "a b s", "y", f"contrastive_loss_param {{ {more} }}"
        )
    found["padded"] = layer(
        "Reshape", "x", "r", "reshape_param { shape { dim: 1 dim: 1 dim: 3 dim: 5 } }", "r"
    ) + layer(
        "Convolution", "r", "y", "convolution_param { num_output: 1 kernel_size: 1 pad_w: 1 }"
    )
    found["recurrent debug"] = (
        layer("Reshape", "x", "r", "reshape_param { shape { dim: 3 dim: 1 dim: 5 } }", "r")
        + layer("DummyData", "", "cont", "dummy_data_param { shape { dim: 3 dim: 1 } }", "c")
        + layer("RNN", "r cont", "y", "recurrent_param { num_output: 2 debug_info: true }")
    )
    return found


def python(module: str) -> Iterator[Example]:
    """A layer written in Python, whose class Doubles lies in ``module``."""
    given = f'module: "{module}" layer: "Doubles" param_str: "7"'
    written = _X + layer("Python", "x", "y", f"python_param {{ {given} }}")
    yield net("python", written, schema.NetParameter, inputs=_DATA)


def memory() -> Iterator[Example]:
    written = layer(
        "MemoryData",
        "",
        "d l",
        "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }",
    )
    arrays = {"images": normal(1, (6, 3, 2, 1)), "labels": np.arange(6, dtype=np.float32)}
    given = {"inputs": arrays, "arrays": ["images", "labels"], "passes": 2}
    yield net("memory", written, schema.NetParameter, **given)
