"""If real Caffe refuses a net or an array, a CaffeError says which one and why."""

from __future__ import annotations

import re
from typing import Any, Callable

import numpy as np
import pytest

from tests.torchcaffe.layer_cases import whole
from tests.torchcaffe.refused_nets import X
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net, normal

_FC = f"inner_product_param {{ num_output: 4 {GAUSSIAN} }}"
_SHARED = 'param { name: "w" MORE }'


def _sharing(first: str, second: str, third: str = "") -> str:
    layers = ""
    for bottom, top, more in (("x", "y", first), ("y", "z", second), ("z", "u", third)):
        rest = f"{_FC} {_SHARED.replace('MORE', more)}"
        layers += layer("InnerProduct", bottom, top, rest, f"to_{top}")
    return net(layers, ("x", (2, 4)))


NETS = {
    "unknown type": (net(layer("Bogus", "x", "y"), ("x", X)), "unknown layer type 'Bogus'"),
    "unknown bottom": (
        net(layer("Power", "nothing", "y"), ("x", X)),
        r"layer l: unknown bottom blob 'nothing'",
    ),
    "two writers": (
        net(layer("Power", "x", "y") + layer("Exp", "x", "y", "", "m"), ("x", X)),
        "top blob 'y' is produced by multiple sources",
    ),
    "in place after a split": (
        net(
            layer("Power", "x", "y")
            + layer("Exp", "y", "z", "", "m")
            + layer("ReLU", "y", "y", "", "n"),
            ("x", X),
        ),
        "top blob 'y' is produced by multiple sources",
    ),
    "include and exclude": (
        net(layer("Power", "x", "y", "include { phase: TRAIN } exclude { }"), ("x", X)),
        "give include rules or exclude rules; not both",
    ),
    "propagate_down": (
        net(layer("Power", "x", "y", "propagate_down: true propagate_down: true"), ("x", X)),
        "once per bottom; got 2 for 1",
    ),
    "too many params": (
        net(layer("Power", "x", "y", "param { lr_mult: 1 }"), ("x", X)),
        "too many params",
    ),
    "shared shapes": (
        net(
            layer("InnerProduct", "x", "y", f"{_FC} {_SHARED.replace('MORE', '')}")
            + layer("InnerProduct", "y", "z", f"{_FC} {_SHARED.replace('MORE', '')}", "m"),
            ("x", (2, 3)),
        ),
        "cannot share param 'w'",
    ),
    "shared lr_mult": (_sharing("lr_mult: 1", "lr_mult: 2"), "mismatched lr_mult"),
    "shared decay_mult": (_sharing("", "decay_mult: 1", "decay_mult: 2"), "mismatched decay_mult"),
    "batch norm learned, of four": (
        net(layer("BatchNorm", "x", "y", "param { } " * 4), ("x", X)),
        "lr_mult must be 0",
    ),
}


@pytest.mark.parametrize("case", NETS)
def test_where_a_net_of_real_caffe_aborts_a_caffe_error_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    text, message = NETS[case]
    found = both_refuse({"net": text})
    assert re.search(message, found), found


_MEMORY = "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }"
_GOOD = normal(1, (4, 3, 2, 1))
ARRAYS: dict[str, tuple[np.ndarray, np.ndarray, str]] = {
    "not a multiple": (_GOOD[:3], whole(1, (3,), 9), "multiple of batch_size, 2; got 3"),
    "another shape": (normal(1, (4, 2, 3, 1)), whole(1, (4,), 9), "data array must have shape"),
    "two axes": (normal(1, (4, 6)), whole(1, (4,), 9), "data array must have shape"),
    "labels": (_GOOD, whole(1, (2,), 9), "same first dimension; got 4 and 2"),
    "label shape": (_GOOD, whole(1, (4, 2, 1, 1), 9), "labels array must have shape"),
    "double": (_GOOD.astype(np.float64), whole(1, (4,), 9), "float32"),
    "whole labels": (_GOOD, np.zeros(4, np.int64), "float32"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_pycaffe_refuses_are_refused(
    case: str, both_refuse: Callable[..., str]
) -> None:
    data, labels, message = ARRAYS[case]
    request: dict[str, Any] = {
        "net": layer("MemoryData", "", "x label", _MEMORY),
        "arrays": ["data", "labels"],
        "backward": False,
    }
    found = both_refuse(request, {"data": data, "labels": labels})
    assert re.search(message, found), found
