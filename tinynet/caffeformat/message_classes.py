"""Protobuf classes of Caffe's messages, made at import time from the table in ``fields``.

``declare``, or an installed package's entry point, adds a fork's own messages.  The rest of the
code uses the classes through ``schema``, whose stub has their types.

The classes live in the protobuf package ``tinynet.caffe`` in a descriptor pool of their own, so
that a real Caffe, which registers ``caffe.*`` in the process-wide pool, can be imported beside
them.  Nothing here depends on generated code, and every protobuf from 3.6 on works.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
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
    """Tables in the notation of ``fields``, with the fields still unparsed."""

    top: _Enums
    nested: dict[str, _Enums]  # the enums of each message
    rows: dict[str, list[str]]  # the lines of each message's fields


def _read_tables(tables: list[str]) -> _Table:
    """Merge all tables into one: a message that two of them name has the fields of both."""
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
                            f"{value} of the enum {name} is already {values[value]}; got {number}"
                        )
            elif word:
                if not message:
                    raise TinynetError(f"'{line.strip()}' comes before the first message")
                rows[message].append(line)
    return _Table(top, nested, rows)


def _read_fields(tables: list[str]) -> tuple[_Enums, dict[str, _Enums], _Messages]:
    """The top-level enums, each message's own enums, and each message's fields."""
    table = _read_tables(tables)
    messages: _Messages = {}
    for message, rows in table.rows.items():
        of_message = messages[message] = {}
        for row in rows:
            words = row.split()
            labelled = words[0] in ("repeated", "packed", "required")
            label = words.pop(0) if labelled else "optional"
            type_name = words.pop(0)
            owner, _, enum = type_name.rpartition(".")
            if owner == message or enum not in table.nested.get(owner, {}):
                type_name, owner = enum, message
            values = table.nested[owner].get(enum) or table.top.get(enum) or {}
            kind = "message" if type_name in table.rows else "enum" if values else type_name
            if kind not in ("message", "enum") and not hasattr(_Proto, f"TYPE_{kind.upper()}"):
                raise TinynetError(f"{message}: the type '{type_name}' is not declared")
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
    """Raise TinynetError if another field of the message has the field's name or number."""
    for other in known.values():
        if (other.name == field.name) != (other.number == field.number):
            raise TinynetError(
                f"{message} already has the field {other.type_name} {other.name} = {other.number}; "
                f"{field.type_name} {field.name} = {field.number} needs another name or number"
            )
        told = _declaration(field)
        if field.default is None:
            told = (*told[:2], _declaration(other)[2])  # Caffe's own default stays
        if other.name == field.name and _declaration(other) != told:
            raise TinynetError(
                f"{message} already has the field {other.name}, declared differently: "
                f"{_declaration(other)}; got {_declaration(field)}"
            )


def _declaration(field: Field) -> tuple[str, str, str | float | None]:
    """Type, label and default; numeric defaults are compared as numbers."""
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


WHEN_DECLARED: list[Callable[[], None]] = []
"""Called after each declaration, by modules that hold the classes under names of their own."""


def declare(text: str) -> None:
    """Add the messages, fields and enum values of a fork of Caffe to the known ones.

    ``text`` is the text of a .proto (proto2), or lines in the notation of ``fields``.  A known
    message gets the fields that it does not have yet, so a layer's own parameters are declared by::

        message PermuteParameter { repeated uint32 order = 1; }
        message LayerParameter { optional PermuteParameter permute_param = 202; }

    A fork's whole caffe.proto works as well if it only adds to Caffe 1.0's.  This makes all classes
    again, so declare before the first prototxt is read: earlier messages belong to other classes
    than later ones.

    Raises TinynetError, and adds nothing, if the text is not understood, or if it declares a known
    field differently.
    """
    table = proto_text.to_table(text) if "{" in text else text
    if table in _tables:
        return
    phases, enums, messages = _read_fields([*_tables, table])
    try:
        classes = _build_classes(phases, enums, messages)
    except (TypeError, ValueError) as error:
        raise TinynetError(f"protobuf refuses the declaration: {error}") from None
    _tables.append(table)
    PHASES.update(phases)
    ENUMS.update(enums)
    FIELDS.update(messages)
    MESSAGES.update(classes)
    for take in WHEN_DECLARED:
        take()


@functools.cache
def load_installed() -> None:
    """Declare the messages of installed packages, from the entry-point group ``tinynet.messages``.

    It takes some hundredths of a second, once per process.  Code that reads nets for an engine
    calls it first; other code calls it when it meets an unknown name.  Raises TinynetError.
    """
    for name, text in plugins.load("tinynet.messages"):
        if not isinstance(text, str):
            raise TinynetError(
                f"the entry point {name} of tinynet.messages must be a .proto's text, or a table; "
                f"its type is {type(text).__name__}"
            )
        try:
            declare(text)
        except TinynetError as error:
            raise TinynetError(f"the entry point {name} of tinynet.messages: {error}") from None


def fields_of(message: Message | type[Message]) -> dict[str, Field]:
    """The fields of a message or a message class, by name, in the table's order."""
    descriptor = message.DESCRIPTOR
    found = FIELDS[descriptor.name]
    if len(found) == len(descriptor.fields):
        return found
    # the message's class was made before some of the fields were declared
    return {name: field for name, field in found.items() if name in descriptor.fields_by_name}


def is_set(message: Message, field: Field | str) -> bool:
    """Whether a field, given by its name or as a Field, has a value (a repeated one at least one).

    Raises KeyError if the message has no field of that name.
    """
    if isinstance(field, str):
        field = fields_of(message)[field]
    if field.repeated:
        return len(getattr(message, field.name)) > 0
    return message.HasField(field.name)


def clear(message: Message, names: Iterable[str]) -> None:
    """Unset the named fields.  Raises ValueError if the message does not have one of them."""
    for name in names:
        message.ClearField(name)


def assign(message: Message, name: str, value: Any) -> None:
    """Set a field of any kind: to a scalar, a message, or the values of a repeated field.

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
    """The number of a top-level enum's value (a phase), by name; None if there is none."""
    for values in PHASES.values():
        if name in values:
            return values[name]
    return None
