"""Nets in Caffe's first two formats, written for these tests: random ones and a small one."""

from __future__ import annotations

import random
from typing import Any

from tests.caffeformat import messages
from tinynet.caffeformat import schema

V1_TYPES = schema.FIELDS["V1LayerParameter"]["type"].values
V0_TYPES = (
    *("accuracy", "bnll", "concat", "conv", "data", "dropout", "euclidean_loss", "flatten"),
    *("hdf5_data", "hdf5_output", "im2col", "images", "infogain_loss", "innerproduct", "lrn"),
    *("multinomial_logistic_loss", "pool", "relu", "sigmoid", "softmax", "softmax_loss", "split"),
    *("tanh", "window_data"),
)
# the upgraded net is read from Caffe's log, where a net of many blobs is long
_BLOBS = {("V1LayerParameter", "blobs"), ("V0LayerParameter", "blobs")}


def random_v1(seed: int) -> Any:
    """Return a NetParameter with a V1 layer of every type, with random fields."""
    rng = random.Random(seed)
    net = schema.NetParameter(name=f"v1 {seed}")
    messages.fill(net.state, rng)
    net.debug_info = rng.random() < 0.5
    _add_inputs(net, rng)
    for number in rng.sample(list(V1_TYPES.values()), len(V1_TYPES)):
        layer = messages.fill(
            net.layers.add(), rng, without={("V1LayerParameter", "layer"), *_BLOBS}
        )
        layer.type = number
        if rng.random() < 0.5:
            layer.ClearField("include")
        else:
            layer.ClearField("exclude")
    return net


def random_v0(seed: int) -> Any:
    """Return a NetParameter with V0 layers of every type, also padding, with random fields."""
    rng = random.Random(seed)
    net = schema.NetParameter(name=f"v0 {seed}")
    _add_inputs(net, rng)
    blobs = list(net.input)
    for number, kind in enumerate(rng.sample(V0_TYPES, len(V0_TYPES))):
        bottom = rng.choice(blobs)
        if kind in ("conv", "pool") and rng.random() < 0.8:
            padding = net.layers.add(bottom=[bottom], top=[f"padded{number}"])
            padding.layer.type = "padding"
            padding.layer.pad = rng.randrange(4)
            bottom = f"padded{number}"
        layer = net.layers.add(bottom=[bottom], top=[f"top{number}"])
        messages.fill(layer.layer, rng, without=_BLOBS)
        layer.layer.type = kind
        blobs.append(f"top{number}")
    return net


def _add_inputs(net: Any, rng: random.Random) -> None:
    for number in range(rng.randrange(1, 4)):
        net.input.append(f"in{number}")
        net.input_dim.extend(rng.randrange(9) for _ in range(4))


def as_v1(net: Any) -> Any | None:
    """Convert a net to V1; return None if V1 lacks one of its layer types or fields."""
    old = schema.NetParameter(name=net.name, force_backward=net.force_backward)
    for layer in net.layer:
        if layer.type == "Input":
            old.input.extend(layer.top)
            old.input_shape.extend(layer.input_param.shape)
            continue
        fields = {field.name for field, _ in layer.ListFields()} - {"type"}
        if layer.type not in _NAMES or not fields <= set(schema.FIELDS["V1LayerParameter"]):
            return None
        made = old.layers.add(type=V1_TYPES[_NAMES[layer.type]])
        for name in fields - {"param"}:
            made.MergeFrom(_part(layer, name))
        for spec in layer.param:
            made.blobs_lr.append(spec.lr_mult)
            made.weight_decay.append(spec.decay_mult)
    return old


def _part(layer: Any, name: str) -> Any:
    """A V1LayerParameter with one field of a LayerParameter."""
    part = schema.V1LayerParameter()
    field = schema.FIELDS["V1LayerParameter"][name]
    if field.repeated:
        getattr(part, name).extend(getattr(layer, name))
    elif field.kind == "message":
        getattr(part, name).CopyFrom(getattr(layer, name))
    else:
        setattr(part, name, getattr(layer, name))
    return part


_NAMES = {
    **{
        "".join(word.capitalize() for word in name.split("_")): name
        for name in V1_TYPES
        if name not in ("NONE", "SOFTMAX_LOSS")
    },
    "AbsVal": "ABSVAL",
    "ArgMax": "ARGMAX",
    "BNLL": "BNLL",
    "HDF5Data": "HDF5_DATA",
    "HDF5Output": "HDF5_OUTPUT",
    "LRN": "LRN",
    "MVN": "MVN",
    "ReLU": "RELU",
    "SoftmaxWithLoss": "SOFTMAX_LOSS",
    "TanH": "TANH",
}

# a small net with what LeNet and AlexNet used in V0: padding layers, in-place layers, groups,
# blobs_lr, a loss
V0 = """
name: "small v0"
input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 8
input: "label" input_dim: 2 input_dim: 1 input_dim: 1 input_dim: 1
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers {
  layer {
    name: "conv1" type: "conv" num_output: 6 kernelsize: 5 stride: 2
    weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "constant" value: 0.2 }
    blobs_lr: 1. blobs_lr: 2. weight_decay: 1. weight_decay: 0.
  }
  bottom: "pad1" top: "conv1"
}
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers {
  layer { name: "pool1" type: "pool" pool: MAX kernelsize: 2 stride: 1 }
  bottom: "conv1" top: "pool1"
}
layers {
  layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }
  bottom: "pool1" top: "norm1"
}
layers { layer { name: "pad2" type: "padding" pad: 1 } bottom: "norm1" top: "pad2" }
layers { layer { name: "pool2" type: "pool" pool: AVE kernelsize: 3 } bottom: "pad2" top: "pool2" }
layers {
  layer {
    name: "conv2" type: "conv" num_output: 4 group: 2 kernelsize: 2 biasterm: false
    weight_filler { type: "uniform" min: -1 max: 1 }
  }
  bottom: "norm1" top: "conv2"
}
layers { layer { name: "tanh" type: "tanh" } bottom: "pool2" top: "tanh" }
layers { layer { name: "sigmoid" type: "sigmoid" } bottom: "norm1" top: "sigmoid" }
layers {
  layer { name: "join" type: "concat" concat_dim: 1 } bottom: "tanh" bottom: "sigmoid" top: "join"
}
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.3 } bottom: "join" top: "join" }
layers { layer { name: "flat" type: "flatten" } bottom: "join" top: "flat" }
layers {
  layer {
    name: "fc" type: "innerproduct" num_output: 5
    weight_filler { type: "gaussian" std: 0.2 } bias_filler { type: "constant" value: 0.1 }
    blobs_lr: 1. blobs_lr: 2. weight_decay: 1. weight_decay: 0.
  }
  bottom: "flat" top: "fc"
}
layers { layer { name: "prob" type: "softmax" } bottom: "fc" top: "prob" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc" bottom: "label" top: "loss" }
layers { layer { name: "accuracy" type: "accuracy" } bottom: "fc" bottom: "label" top: "accuracy" }
"""
