"""Writes ``schema.pyi``, the types of Caffe's messages, from the table in ``fields``.

``python -m tinynet.caffeformat.schema_stub`` writes the file, and a test checks that it fits the
table.  With the stub, the type checker reports misspelt fields, wrong types, and fields of another
message.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from tinynet.caffeformat.message_classes import ENUMS, FIELDS, PHASES, Field

PATH = Path(__file__).with_name("schema.pyi")
_COLUMNS = 100
_SCALARS = {"string": "str", "bytes": "bytes", "bool": "bool", "float": "float", "double": "float"}

_HEAD = """\
# Generated from the table in fields.py by `python -m tinynet.caffeformat.schema_stub`.
# fmt: off
from collections.abc import Iterable
from typing import Literal, NewType

from google.protobuf.internal.containers import (
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper
from google.protobuf.message import Message

from tinynet.caffeformat.message_classes import FIELDS as FIELDS
from tinynet.caffeformat.message_classes import MESSAGES as MESSAGES
from tinynet.caffeformat.message_classes import Field as Field
from tinynet.caffeformat.message_classes import assign as assign
from tinynet.caffeformat.message_classes import clear as clear
from tinynet.caffeformat.message_classes import declare as declare
from tinynet.caffeformat.message_classes import fields_of as fields_of
from tinynet.caffeformat.message_classes import is_set as is_set
from tinynet.caffeformat.message_classes import load_installed as load_installed
"""


def text() -> str:
    """The text of the stub; every enum is a NewType of int."""
    lines = _HEAD.splitlines()
    for name, values in PHASES.items():
        lines += ["", f'{name} = NewType("{name}", int)']
        lines += [f"{value}: {name}" for value in values]
    for message in FIELDS:
        lines += ["", *_enum_types(message), f"class {message}(Message):", *_members(message)]
    return "\n".join(lines) + "\n"


def _enum_types(message: str) -> Iterator[str]:
    for enum in ENUMS[message]:
        kind = _enum_type(message, enum)
        yield f'{kind} = NewType("{kind}", int)'


def _enum_type(message: str, enum: str) -> str:
    return f"_{message}_{enum}" if enum in ENUMS[message] else enum


def _members(message: str) -> Iterator[str]:
    for enum, values in ENUMS[message].items():
        kind = _enum_type(message, enum)
        yield f"    {enum}: _EnumTypeWrapper[{kind}]"
        yield from (f"    {value}: {kind}" for value in values)
    fields = list(FIELDS[message].values())
    for field in fields:
        yield from _attribute(message, field)
    arguments = ", ".join(f"{field.name}: {_argument(message, field)} = ..." for field in fields)
    yield from _wrapped(f"def __init__(self, *, {arguments}) -> None: ...")
    single = [field for field in fields if not field.repeated]
    if single:
        yield from _wrapped(f"def HasField(self, field_name: {_names(single)}) -> bool: ...")
    yield from _wrapped(f"def ClearField(self, field_name: {_names(fields)}) -> None: ...")


def _attribute(message: str, field: Field) -> Iterator[str]:
    kind = _type(message, field)
    if field.kind != "message" and not field.repeated:
        yield f"    {field.name}: {kind}"
        return
    if field.repeated:
        holds = "Composite" if field.kind == "message" else "Scalar"
        kind = f"Repeated{holds}FieldContainer[{kind}]"
    # protobuf refuses assignments to messages and repeated fields
    yield "    @property"
    yield f"    def {field.name}(self) -> {kind}: ..."


def _argument(message: str, field: Field) -> str:
    kind = _type(message, field)
    return f"Iterable[{kind}] | None" if field.repeated else f"{kind} | None"


def _type(message: str, field: Field) -> str:
    if field.kind == "message":
        return field.type_name
    if field.kind == "enum":
        return _enum_type(message, field.type_name)
    return _SCALARS.get(field.kind, "int")


def _names(fields: list[Field]) -> str:
    return "Literal[" + ", ".join(f'"{field.name}"' for field in fields) + "]"


def _wrapped(line: str) -> list[str]:
    """Wrap a signature to several lines, with breaks after commas only."""
    kept = line.replace(" ", "\0").replace(",\0", ", ")
    wrapped = textwrap.wrap(
        kept, _COLUMNS, initial_indent=" " * 4, subsequent_indent=" " * 8, break_long_words=False
    )
    return [part.replace("\0", " ") for part in wrapped]


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
