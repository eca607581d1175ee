"""Protobuf classes of Caffe's messages, made at import time from the table in ``fields``.

Messages of a fork's own are added by ``declare``, or by an installed package's entry point.  The
rest of the code reaches the classes through ``schema``, whose types its stub states.

The classes live under the protobuf package ``tinynet.caffe`` in a descriptor pool of their own, so
that a real Caffe, which registers ``caffe.*`` in the process-wide pool, can be imported beside
them.  Nothing here depends on generated code: any protobuf from 3.6 on will do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from tinynet.caffeformat import fields, plugins, proto_text
from tinynet.errors import TinynetError

PACKAGE = "tinynet.caffe"
_File = descriptor_pb2.FileDescriptorProto
_Proto = descriptor_pb2.FieldDescriptorProto


class Field(NamedTuple):
    """One field of a message, as the table states it."""

    name: str
    number: int
    kind: str  # a scalar type of protobuf, "enum" or "message"
    type_name: str  # the enum's or the message's name; the scalar type otherwise
    label: str  # "optional", "repeated", "packed" or "required"
    default: str | None
    values: dict[str, int]  # an enum's values by name, in the table's order

    @property
    def repeated(self) -> bool:
        return self.label in ("repeated", "packed")


_Enums = dict[str, dict[str, int]]
_Messages = dict[str, dict[str, Field]]


class _Table(NamedTuple):
    """What the notation of ``fields`` states."""

    top: _Enums
    nested: dict[str, _Enums]  # the enums of each message
    rows: dict[str, list[str]]  # the lines of each message's fields


def _read_tables(tables: list[str]) -> _Table:
    """All tables as one: a message that two of them name has the fields of both."""
    top: _Enums = {}
    nested: dict[str, _Enums] = {}
    rows: dict[str, list[str]] = {}
    for table in tables:
        message = ""
        for line in table.splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "message":
                message = rest
                nested.setdefault(message, {})
                rows.setdefault(message, [])
            elif word == "enum":
                name, *pairs = rest.split()
                values = (nested[message] if message else top).setdefault(name, {})
                for pair in pairs:
                    value, _, number = pair.partition("=")
                    if values.setdefault(value, int(number)) != int(number):
                        raise TinynetError(
                            f"{value} of the enum {name} is {values[value]} already; got {number}"
                        )
            elif word:
                if not message:
                    raise TinynetError(f"'{line.strip()}' stands before the first message")
                rows[message].append(line)
    return _Table(top, nested, rows)


def _read_fields(
    tables: list[str],
) -> tuple[_Enums, dict[str, _Enums], _Messages]:
    table = _read_tables(tables)
    messages: _Messages = {}
    for message, rows in table.rows.items():
        of_message = messages[message] = {}
        for row in rows:
            words = row.split()
            labelled = words[0] in ("repeated", "packed", "required")
            label = words.pop(0) if labelled else "optional"
            type_name = words.pop(0)
            values = table.nested[message].get(type_name) or table.top.get(type_name) or {}
            kind = "message" if type_name in table.rows else "enum" if values else type_name
            if kind not in ("message", "enum") and not hasattr(_Proto, f"TYPE_{kind.upper()}"):
                raise TinynetError(f"{message}: nothing declares the type '{type_name}'")
            for word in words:
                name, _, rest = word.partition("=")
                number, bar, default = rest.partition("|")
                field = Field(
                    name, int(number), kind, type_name, label, default if bar else None, values
                )
                _require_free(message, field, of_message)
                of_message.setdefault(name, field)
    return table.top, table.nested, messages


def _require_free(message: str, field: Field, known: dict[str, Field]) -> None:
    """Raise TinynetError where the field's name or number is another's in its message."""
    for other in known.values():
        if (other.name == field.name) != (other.number == field.number):
            raise TinynetError(
                f"{message} has the field {other.type_name} {other.name} = {other.number} already; "
                f"{field.type_name} {field.name} = {field.number} needs another name or number"
            )
        if other.name == field.name and _shape(other) != _shape(field):
            raise TinynetError(
                f"{message} has the field {other.name} already, declared otherwise: "
                f"{_shape(other)}; got {_shape(field)}"
            )


def _shape(field: Field) -> tuple[str, str, str | float | None]:
    """Type, label and default, of which numbers are compared as numbers."""
    default: str | float | None = field.default
    if default is not None and field.kind not in ("string", "bytes", "bool", "enum"):
        default = float(default)
    return field.type_name, field.label, default


def _add_enums(container: _File | descriptor_pb2.DescriptorProto, enums: _Enums) -> None:
    for name, values in enums.items():
        enum = container.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)


def _add_field(message: descriptor_pb2.DescriptorProto, field: Field, own_enums: _Enums) -> None:
    proto = message.field.add(name=field.name, number=field.number)
    proto.type = getattr(_Proto, f"TYPE_{field.kind.upper()}")
    proto.label = getattr(_Proto, "LABEL_REPEATED" if field.repeated else "LABEL_OPTIONAL")
    if field.label == "required":
        proto.label = _Proto.LABEL_REQUIRED
    if field.label == "packed":
        proto.options.packed = True
    if field.kind in ("message", "enum"):
        scope = f"{message.name}." if field.type_name in own_enums else ""
        proto.type_name = f".{PACKAGE}.{scope}{field.type_name}"
    if field.default is not None:
        proto.default_value = field.default


def _build_classes(
    phases: _Enums, enums: dict[str, _Enums], messages: _Messages
) -> dict[str, type[Message]]:
    file = _File(name="tinynet/caffe.proto", package=PACKAGE, syntax="proto2")
    _add_enums(file, phases)
    for name, members in messages.items():
        message = file.message_type.add(name=name)
        _add_enums(message, enums[name])
        for field in members.values():
            _add_field(message, field, enums[name])
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    make_class = getattr(message_factory, "GetMessageClass", None)
    if make_class is None:  # protobuf before 4.22
        make_class = message_factory.MessageFactory(pool).GetPrototype  # type: ignore[attr-defined]
    return {name: make_class(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in messages}


_tables = [fields.ALL]
PHASES, ENUMS, FIELDS = _read_fields(_tables)
"""``FIELDS[message][field]``: the table, in its order."""

MESSAGES: dict[str, type[Message]] = _build_classes(PHASES, ENUMS, FIELDS)
"""Every message class by Caffe's name for it."""


def declare(text: str) -> None:
    """Add the messages, fields and enum values of a fork of Caffe to those that are known.

    ``text`` is a .proto's (proto2), or lines in the notation of ``fields``; a message that is known
    already gets the fields that it has not: so a layer's own parameters are declared::

        message PermuteParameter { repeated uint32 order = 1; }
        message LayerParameter { optional PermuteParameter permute_param = 202; }

    A fork's whole caffe.proto does as well.  Every class is made anew: declare before the first
    prototxt is read, since messages made before are of other classes than those made after.

    Raises TinynetError, and adds nothing, where the text is not understood, or where a field is
    declared otherwise than it is known.
    """
    table = proto_text.to_table(text) if "{" in text else text
    if table in _tables:
        return
    phases, enums, messages = _read_fields([*_tables, table])
    try:
        classes = _build_classes(phases, enums, messages)
    except (TypeError, ValueError) as error:
        raise TinynetError(f"protobuf does not take the declaration: {error}") from None
    _tables.append(table)
    PHASES.update(phases)
    ENUMS.update(enums)
    FIELDS.update(messages)
    MESSAGES.update(classes)


@functools.cache
def load_installed() -> None:
    """Declare what installed packages have in the entry-point group ``tinynet.messages``.

    It takes some hundredths of a second, once: whoever reads nets for an engine asks for it first,
    others where they meet a name that is unknown.  Raises TinynetError.
    """
    for name, text in plugins.load("tinynet.messages"):
        if not isinstance(text, str):
            raise TinynetError(
                f"the entry point {name} of tinynet.messages is no text of a .proto or table, but "
                f"of type {type(text).__name__}"
            )
        try:
            declare(text)
        except TinynetError as error:
            raise TinynetError(f"the entry point {name} of tinynet.messages: {error}") from None


def fields_of(message: Message | type[Message]) -> dict[str, Field]:
    """The fields of a message, or of a message class, by name and in the table's order."""
    descriptor = message.DESCRIPTOR
    found = FIELDS[descriptor.name]
    if len(found) == len(descriptor.fields):
        return found
    # made before some of them were declared
    return {name: field for name, field in found.items() if name in descriptor.fields_by_name}


def is_set(message: Message, field: Field | str) -> bool:
    """Whether the field, or that of a name, is present: given a value, a repeated one at least one.

    Raises KeyError if the message has no field of that name.
    """
    if isinstance(field, str):
        field = fields_of(message)[field]
    if field.repeated:
        return len(getattr(message, field.name)) > 0
    return message.HasField(field.name)


def clear(message: Message, names: Iterable[str]) -> None:
    """Unset the fields of these names.  Raises ValueError if one is no field of the message."""
    for name in names:
        message.ClearField(name)


def assign(message: Message, name: str, value: Any) -> None:
    """Give a field of any kind its value: a scalar, a message, or the values of a repeated field.

    Raises KeyError if the message has no such field, and TypeError or ValueError as protobuf does.
    """
    field = fields_of(message)[name]
    if field.repeated:
        message.ClearField(name)
        getattr(message, name).extend(value)
    elif field.kind == "message":
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def constant(name: str) -> int | None:
    """The value of an enum on top of the table, a phase, by name; None where there is none."""
    for values in PHASES.values():
        if name in values:
            return values[name]
    return None
