"""Fields that Caffe's last release still accepts but ignores.

Most of them were in use in 2013 and 2014.  In a V1 net they have an effect, since Caffe moves them
to ``transform_param`` (see ``upgrade``); in a ``layer`` they have none.
"""

from __future__ import annotations

from typing import NamedTuple

from tinynet.caffeformat import schema


class _Fields(NamedTuple):
    message: str  # the field of LayerParameter that holds them
    names: tuple[str, ...]
    remedy: str


_IN_TRANSFORM = "write it in transform_param"
_OF_TYPE = {
    "Data": (
        _Fields("data_param", ("scale", "mean_file", "crop_size", "mirror"), _IN_TRANSFORM),
        _Fields("data_param", ("rand_skip",), "leave it out"),
        _Fields("data_param", ("force_encoded_color",), "write force_color in transform_param"),
    ),
    "ImageData": (
        _Fields("image_data_param", ("scale", "mean_file", "crop_size", "mirror"), _IN_TRANSFORM),
    ),
    # the only layer with a scale of its own (window_data_layer.cpp)
    "WindowData": (
        _Fields("window_data_param", ("mean_file", "crop_size", "mirror"), _IN_TRANSFORM),
        _Fields("transform_param", ("scale",), "write it in window_data_param"),
    ),
}


def fields_without_effect(layer: schema.LayerParameter) -> list[str]:
    """A sentence for each field without effect in an up-to-date LayerParameter, unless default."""
    found = []
    for message, names, remedy in _OF_TYPE.get(layer.type, ()):
        given = getattr(layer, message)
        unset = schema.MESSAGES[given.DESCRIPTOR.name]()
        found += [
            f"layer {layer.name}: {message}.{name} has no effect in Caffe 1.0; {remedy}"
            for name in names
            if getattr(given, name) != getattr(unset, name)
        ]
    return found
