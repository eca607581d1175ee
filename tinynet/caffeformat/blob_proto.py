"""Converts between BlobProto and numpy at the speed of the disk.

Going through a protobuf message costs a Python float per element: seconds for a stage's millions of
weights.  So both directions work on the wire format itself: BlobProto's ``data`` (field 5) is one
length-delimited run of little-endian float32, and ``shape`` (field 7) a BlobShape message.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
from google.protobuf.message import Message

from tinynet.caffeformat import schema
from tinynet.errors import TinynetError

_LENGTH_DELIMITED = 2
_FLOAT32 = np.dtype("<f4")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_delimited(field: int, payload: bytes) -> bytes:
    """Encode a field of message, string or packed type: tag, length, payload."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def field_number(message: Message | type[Message], name: str) -> int:
    """The wire format's number of a field of a message or of a message class."""
    return schema.fields_of(message)[name].number


def encode(data: np.ndarray, diff: np.ndarray | None = None) -> bytes:
    """Encode ``data`` (and ``diff``, of the same shape) as a BlobProto."""
    parts = []
    for name, values in (("data", data), ("diff", diff)):
        if values is not None:
            raw = np.ascontiguousarray(values, dtype=_FLOAT32).tobytes()
            parts.append(length_delimited(field_number(schema.BlobProto, name), raw))
    shape = schema.BlobShape(dim=list(data.shape)).SerializeToString()
    parts.append(length_delimited(field_number(schema.BlobProto, "shape"), shape))
    return b"".join(parts)


def encode_all(
    message: Message, field: str, blobs: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> bytes:
    """Encode ``message``, with (data, diff) arrays appended to its repeated BlobProto ``field``."""
    number = field_number(message, field)
    return message.SerializeToString() + b"".join(
        length_delimited(number, encode(data, diff)) for data, diff in blobs
    )


def has_legacy_shape(blob: schema.BlobProto) -> bool:
    """Whether a BlobProto states its shape by the older num, channels, height and width."""
    return any(schema.is_set(blob, name) for name in ("num", "channels", "height", "width"))


def shape_of(blob: schema.BlobProto) -> tuple[int, ...]:
    """A BlobProto's shape: by ``shape``, or by the older num, channels, height and width."""
    if has_legacy_shape(blob):
        return (blob.num, blob.channels, blob.height, blob.width)
    return tuple(blob.shape.dim)


def decode(blob: schema.BlobProto, what: str, field: str = "data") -> np.ndarray:
    """The float32 array that a BlobProto holds.

    Raises TinynetError, naming ``what``, if the number of values does not fit the shape.
    """
    shape = shape_of(blob)
    double = len(getattr(blob, f"double_{field}")) > 0
    values = (
        np.array(getattr(blob, f"double_{field}"), dtype=np.float32)
        if double
        else _packed_floats(blob, field)
    )
    count = prod(shape)
    if values.size != count or any(dim < 0 for dim in shape):
        raise TinynetError(
            f"{what}: shape {shape} needs {count} values; the file has {values.size}"
        )
    return values.reshape(shape)


def _packed_floats(blob: schema.BlobProto, field: str) -> np.ndarray:
    """The payload of a packed float field, from the message's serialized bytes."""
    number = field_number(schema.BlobProto, field)
    single = schema.BlobProto()
    single.CopyFrom(blob)
    schema.clear(single, [name for name in schema.fields_of(single) if name != field])
    raw = single.SerializeToString()
    if not raw:
        return np.zeros(0, dtype=np.float32)
    start = len(_varint(number << 3 | _LENGTH_DELIMITED))
    while raw[start] & 0x80:  # the varint that holds the payload's length
        start += 1
    return np.frombuffer(raw, dtype=_FLOAT32, offset=start + 1).astype(np.float32)
