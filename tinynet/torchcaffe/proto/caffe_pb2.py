"""Caffe's message classes and enums, under the names in its generated module.

``caffe_pb2.NetParameter()``, ``caffe_pb2.TRAIN``, ``caffe_pb2.PoolingParameter.MAX``,
``caffe_pb2.Phase.Name(0)``.  The classes are those of ``tinynet.caffeformat.schema``; protobuf's
own ``text_format`` and ``json_format`` work on them.
"""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.internal import enum_type_wrapper

from tinynet.caffeformat import schema

Phase = enum_type_wrapper.EnumTypeWrapper(
    cast(EnumDescriptor, schema.NetState.DESCRIPTOR.file.enum_types_by_name["Phase"])
)


def __getattr__(name: str) -> Any:
    """Any other message class or phase; DESCRIPTOR is the descriptor of their file."""
    schema.load_installed()
    if name == "DESCRIPTOR":
        return schema.NetParameter.DESCRIPTOR.file
    return getattr(schema, name)


def __dir__() -> list[str]:
    return sorted({*globals(), "DESCRIPTOR", *schema.MESSAGES, *Phase.keys()})
