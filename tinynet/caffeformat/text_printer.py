"""Prints a message as prototxt, the same bytes whatever the protobuf release.

Fields stand in the schema's order, floats as the shortest decimal that reads back to the same
float32 (``0.0005``, never ``0.00050000002374872565``), and shapes, fillers and rules on one line.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from google.protobuf.message import Message

from tinynet.caffeformat import schema
from tinynet.caffeformat.schema import Field

# Small messages are printed on one line if they fit.  Layers and their parameters have one field
# per line, so that grep, sed and diff work on them as on Caffe's own files.
_ONE_LINE = {"BlobShape", "FillerParameter", "NetStateRule", "ParamSpec"}
_COLUMNS = 76


def format(message: Message) -> str:
    """Print the message as prototxt, with the same bytes under every protobuf release."""
    return "".join(f"{line}\n" for line in _lines(message, 0))


def to_float32(value: float) -> float:
    """The float32 nearest to a value, as a Python float; infinite beyond float32's range."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def format_float(value: float) -> str:
    """The shortest decimal text that reads back to the same float32."""
    target = to_float32(value)
    if not math.isfinite(target):
        return str(target)
    for digits in range(1, 10):  # nine digits always suffice for a float32
        candidate = float(f"{target:.{digits}g}")
        if to_float32(candidate) == target:
            break
    return format_double(candidate)


def format_double(value: float) -> str:
    """The shortest decimal text that reads back to the same double; integers without '.0'."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _quote(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return '"' + "".join(_quoted_byte(byte) for byte in value) + '"'
    characters = (c if ord(c) >= 0x80 else _quoted_byte(ord(c)) for c in value)
    return '"' + "".join(characters) + '"'


def _quoted_byte(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    if byte == 0x0A:
        return "\\n"
    # three octal digits, so that a following digit cannot become part of the escape
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _format_scalar(field: Field, value: Any) -> str:
    if field.kind == "enum":
        return next((name for name, number in field.values.items() if number == value), str(value))
    if field.kind == "bool":
        return "true" if value else "false"
    if field.kind in ("string", "bytes"):
        return _quote(value)
    if field.kind == "float":
        return format_float(value)
    return format_double(value) if field.kind == "double" else str(value)


def _lines(message: Message, depth: int) -> list[str]:
    lines: list[str] = []
    indent = "  " * depth
    for field in schema.fields_of(message).values():
        if not schema.is_set(message, field):
            continue
        present = getattr(message, field.name)
        for value in present if field.repeated else [present]:
            if field.kind != "message":
                lines.append(f"{indent}{field.name}: {_format_scalar(field, value)}")
                continue
            inner = _lines(value, depth + 1)
            flat = " ".join([f"{indent}{field.name} {{", *(line.strip() for line in inner), "}"])
            if not inner or (field.type_name in _ONE_LINE and len(flat) <= _COLUMNS):
                lines.append(flat)
            else:
                lines += [f"{indent}{field.name} {{", *inner, f"{indent}}}"]
    return lines
