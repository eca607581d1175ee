"""Protobuf classes of Caffe's messages, made at import time from the table in ``fields``.

``schema.NetParameter()`` and every other message of Caffe are classes here, with Caffe's field
numbers, types and defaults; enum values are attributes of their message
(``schema.PoolingParameter.MAX``), and ``schema.TRAIN`` and ``schema.TEST`` are the phases.

The classes live under the protobuf package ``tinynet.caffe`` in a descriptor pool of their own, so
that a real Caffe, which registers ``caffe.*`` in the process-wide pool, can be imported beside
them.  Nothing here depends on generated code: any protobuf from 3.6 on will do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tinynet.caffeformat import fields

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


def _read_table(table: str) -> tuple[_Enums, dict[str, _Enums], dict[str, list[str]]]:
    """Split the table into top-level enums, enums by message, and field lines by message."""
    top: _Enums = {}
    nested: dict[str, _Enums] = {}
    lines: dict[str, list[str]] = {}
    message = ""
    for line in table.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "message":
            message = rest
            nested[message], lines[message] = {}, []
        elif word == "enum":
            name, *pairs = rest.split()
            values = (nested[message] if message else top).setdefault(name, {})
            values.update((value, int(number)) for value, number in (p.split("=") for p in pairs))
        elif word:
            lines[message].append(line)
    return top, nested, lines


def _read_fields(table: str) -> tuple[_Enums, dict[str, _Enums], dict[str, dict[str, Field]]]:
    top, nested, lines = _read_table(table)
    messages: dict[str, dict[str, Field]] = {}
    for message, rows in lines.items():
        of_message = messages[message] = {}
        for row in rows:
            words = row.split()
            labelled = words[0] in ("repeated", "packed", "required")
            label = words.pop(0) if labelled else "optional"
            type_name = words.pop(0)
            values = nested[message].get(type_name) or top.get(type_name) or {}
            kind = "message" if type_name in lines else "enum" if values else type_name
            for word in words:
                name, _, rest = word.partition("=")
                number, bar, default = rest.partition("|")
                of_message[name] = Field(
                    name, int(number), kind, type_name, label, default if bar else None, values
                )
    return top, nested, messages


_PHASES, _ENUMS, FIELDS = _read_fields(fields.ALL)
"""``FIELDS[message][field]``: the table, in its order."""


def _add_enums(container: Any, enums: _Enums) -> None:
    for name, values in enums.items():
        enum = container.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)


def _add_field(message: Any, field: Field, own_enums: _Enums) -> None:
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


def _build_classes() -> dict[str, Any]:
    file = _File(name="tinynet/caffe.proto", package=PACKAGE, syntax="proto2")
    _add_enums(file, _PHASES)
    for name, members in FIELDS.items():
        message = file.message_type.add(name=name)
        _add_enums(message, _ENUMS[name])
        for field in members.values():
            _add_field(message, field, _ENUMS[name])
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    make_class = getattr(message_factory, "GetMessageClass", None)
    if make_class is None:  # protobuf before 4.22
        make_class = message_factory.MessageFactory(pool).GetPrototype
    return {name: make_class(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in FIELDS}


MESSAGES: dict[str, Any] = _build_classes()
"""Every message class by Caffe's name for it."""


def fields_of(message: Any) -> dict[str, Field]:
    """The fields of a message, or of a message class, by name and in the table's order."""
    return FIELDS[message.DESCRIPTOR.name]


def is_set(message: Any, field: Field) -> bool:
    """Whether the field is present: given a value, or for a repeated one at least one."""
    if field.repeated:
        return len(getattr(message, field.name)) > 0
    return bool(message.HasField(field.name))


def __getattr__(name: str) -> Any:
    """Message classes and phases as attributes: ``schema.NetParameter``, ``schema.TEST``."""
    if name in MESSAGES:
        return MESSAGES[name]
    for values in _PHASES.values():
        if name in values:
            return values[name]
    raise AttributeError(f"module {__name__!r} has no message or phase {name!r}")
