"""Upgrades Caffe's first net format (2013) to its second: V0LayerParameter to V1LayerParameter.

In V0 all layer types kept their settings in one flat message, ``layers { layer { type: "conv"
num_output: 96 } bottom: "data" top: "conv1" }``, and padding was a layer of its own.

Defined by ``UpgradeV0Net``, ``UpgradeV0PaddingLayers`` and ``UpgradeV0LayerParameter``
(src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from google.protobuf.message import Message

from tinynet.caffeformat import schema
from tinynet.errors import TinynetError

Say = Callable[[str, str], None]
"""Takes a severity ("info", "warning" or "error") and a message for the log."""


class UpgradeError(TinynetError):
    """An old file breaks a rule, at which real Caffe aborts."""


_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}


def _of(parameter: str, **fields: str) -> dict[str, tuple[str, str]]:
    """V0 field → (V1's message field, the field in it)."""
    return {old: (parameter, new) for old, new in fields.items()}


_SAME_IN_BOTH = {"num_output": "num_output", "biasterm": "bias_term"}
_FILLERS = {"weight_filler": "weight_filler", "bias_filler": "bias_filler"}
_BATCHES = {"source": "source", "batchsize": "batch_size"}
# V0 type → where its fields went
_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "conv": _of(
        "convolution_param",
        **_SAME_IN_BOTH,
        **_FILLERS,
        pad="pad",
        kernelsize="kernel_size",
        group="group",
        stride="stride",
    ),
    "innerproduct": _of("inner_product_param", **_SAME_IN_BOTH, **_FILLERS),
    "pool": _of("pooling_param", pad="pad", kernelsize="kernel_size", stride="stride", pool="pool"),
    "dropout": _of("dropout_param", dropout_ratio="dropout_ratio"),
    "lrn": _of("lrn_param", local_size="local_size", alpha="alpha", beta="beta", k="k"),
    "data": _of("data_param", **_BATCHES, rand_skip="rand_skip"),
    "hdf5_data": _of("hdf5_data_param", **_BATCHES),
    "images": _of(
        "image_data_param",
        **_BATCHES,
        rand_skip="rand_skip",
        shuffle_images="shuffle",
        new_height="new_height",
        new_width="new_width",
    ),
    "window_data": _of(
        "window_data_param",
        **_BATCHES,
        det_fg_threshold="fg_threshold",
        det_bg_threshold="bg_threshold",
        det_fg_fraction="fg_fraction",
        det_context_pad="context_pad",
        det_crop_mode="crop_mode",
    ),
    "infogain_loss": _of("infogain_loss_param", source="source"),
    "concat": _of("concat_param", concat_dim="concat_dim"),
}
# moved from a layer of any type
_TRANSFORM = _of(
    "transform_param",
    scale="scale",
    meanfile="mean_file",
    cropsize="crop_size",
    mirror="mirror",
)
_MESSAGES = ("hdf5_output_param",)  # moved whole, if the layer has the type of that name
_COPIED = ("blobs", "blobs_lr", "weight_decay")
_UNUSED = ("new_num", "new_channels")  # for a layer that Caffe never had
_SHOWN_NAMES = {"shuffle_images": "shuffle"}  # V0 field → its name in Caffe's log message


def is_v0(net: schema.NetParameter) -> bool:
    """Whether a layer of the NetParameter is a V0 layer."""
    return any(layer.HasField("layer") for layer in net.layers)


def to_v1(net: schema.NetParameter, say: Say) -> bool:
    """Turn the V0 layers of a NetParameter into V1 layers, in place.

    Returns whether every parameter has a place in its new layer; ``say`` names those that have
    none.  Raises UpgradeError where Caffe aborts.
    """
    made = schema.NetParameter()
    complete = True
    for layer in _without_padding_layers(net):
        complete &= _upgrade_layer(layer, made.layers.add(), say)
    for name in ("input_shape", "state", "debug_info", "layer"):
        if schema.is_set(net, name):
            say("warning", f"'{name}' beside V0 layers is dropped, as Caffe drops it")
            net.ClearField(name)
    net.ClearField("layers")
    net.layers.extend(made.layers)
    return complete


class _Layer(NamedTuple):
    """A layer that is not padding, with the padding of the layer before it."""

    written: schema.V1LayerParameter
    bottoms: list[str]
    pad: int | None


def _without_padding_layers(net: schema.NetParameter) -> Iterator[_Layer]:
    """Yield the layers that are not padding; those after a padding layer get its pad."""
    maker: dict[str, Any] = dict.fromkeys(net.input)  # blob → the layer that last wrote it
    for layer in net.layers:
        bottoms, pad = list(layer.bottom), None
        kind = layer.layer.type
        for j, blob in enumerate(layer.bottom):
            if blob not in maker:
                raise UpgradeError(f"layer {layer.layer.name}: unknown bottom blob '{blob}'")
            source = maker[blob]
            if source is None or source.layer.type != "padding":
                continue
            if kind not in ("conv", "pool"):
                raise UpgradeError(
                    f"layer {layer.layer.name}: only a conv or pool layer can follow a padding "
                    f"layer; this one's type is '{kind}'"
                )
            counts = (len(layer.bottom), len(source.bottom), len(source.top))
            if counts != (1, 1, 1):
                raise UpgradeError(
                    f"layer {layer.layer.name}: it has {counts[0]} bottoms, and the padding layer "
                    f"before it {counts[1]} bottoms and {counts[2]} tops; there must be one of each"
                )
            bottoms[j], pad = source.bottom[0], source.layer.pad
        if kind != "padding":
            yield _Layer(layer, bottoms, pad)
        maker.update(dict.fromkeys(layer.top, layer))


def _upgrade_layer(layer: _Layer, new: schema.V1LayerParameter, say: Say) -> bool:
    written = layer.written
    new.bottom.extend(layer.bottoms)
    new.top.extend(written.top)
    _warn_of_dropped_fields(written, say)
    if not written.HasField("layer"):
        return True
    old = schema.V0LayerParameter()
    old.CopyFrom(written.layer)
    if layer.pad is not None:
        old.pad = layer.pad
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        if old.type not in _TYPES:
            raise UpgradeError(
                f"layer {old.name}: unknown V0 layer type '{old.type}'; the types are "
                f"{', '.join(_TYPES)}"
            )
        new.type = schema.V1LayerParameter.LayerType.Value(_TYPES[old.type])
    for name in _COPIED:
        getattr(new, name).extend(getattr(old, name))
    places = {**_FIELDS.get(old.type, {}), **_TRANSFORM}
    complete = True
    for field in schema.fields_of(old).values():
        if field.name in (*_COPIED, "name", "type") or not schema.is_set(old, field):
            continue
        if field.name in places:
            parameter, name = places[field.name]
            _set(getattr(new, parameter), name, getattr(old, field.name))
        elif field.name in _MESSAGES and field.name == f"{old.type}_param":
            getattr(new, field.name).CopyFrom(getattr(old, field.name))
        elif field.name in _UNUSED:
            say("warning", f"layer {old.name}: '{field.name}' is dropped, as Caffe drops it")
        else:
            shown = _SHOWN_NAMES.get(field.name, field.name)
            say("error", f"Unknown parameter {shown} for layer type {old.type}")
            complete = False
    return complete


def _warn_of_dropped_fields(written: schema.V1LayerParameter, say: Say) -> None:
    kept = ("bottom", "top", "layer")
    dropped = [
        field.name
        for field in schema.fields_of(written).values()
        if field.name not in kept and schema.is_set(written, field)
    ]
    if dropped:
        name = written.layer.name or written.name
        say(
            "warning",
            f"layer {name}: {', '.join(dropped)} beside a V0 layer's own fields are dropped, as "
            "Caffe drops them",
        )


def _set(message: Message, name: str, value: Any) -> None:
    """Set a scalar or a message; a list, where V1 has one value per axis, gets one value."""
    field = schema.fields_of(message)[name]
    if field.repeated:
        value = [value]
    elif field.kind == "uint32":
        value %= 2**32  # V0's signed sizes become unsigned, as in C++
    schema.assign(message, name, value)
