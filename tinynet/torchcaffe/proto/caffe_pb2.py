"""Caffe's message classes and enums, under the names in its generated module.

``caffe_pb2.NetParameter()``, ``caffe_pb2.TRAIN``, ``caffe_pb2.PoolingParameter.MAX``,
``caffe_pb2.Phase.Name(0)``, ``from caffe.proto.caffe_pb2 import *``.  The classes are those of
``tinynet.caffeformat.schema``; protobuf's own ``text_format`` and ``json_format`` work on them.
"""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.internal import enum_type_wrapper

from tinynet.caffeformat import message_classes, schema

__all__: list[str] = []


def _take_all() -> None:
    """Make everything an attribute: scripts look into ``__dict__``, and say ``import *``."""
    file = schema.NetParameter.DESCRIPTOR.file
    descriptor = cast(EnumDescriptor, file.enum_types_by_name["Phase"])
    phase = enum_type_wrapper.EnumTypeWrapper(descriptor)
    public = {"DESCRIPTOR": file, "Phase": phase, **dict(phase.items()), **schema.MESSAGES}
    __all__[:] = public
    globals().update(public, _PHASE=descriptor)
    for name, made in schema.MESSAGES.items():
        globals()[f"_{name.upper()}"] = made.DESCRIPTOR
        for enum in made.DESCRIPTOR.enum_types:
            globals()[f"_{name.upper()}_{enum.name.upper()}"] = enum


_take_all()
message_classes.WHEN_DECLARED.append(_take_all)


def __getattr__(name: str) -> Any:
    """Raises AttributeError, which for a message says that Caffe has none."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(schema, name)
