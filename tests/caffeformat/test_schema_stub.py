"""The message types that mypy reads are those of the classes at run time."""

from __future__ import annotations

import ast

import pytest
from google.protobuf.descriptor import FieldDescriptor

from tinynet.caffeformat import schema, schema_stub

STUB = ast.parse(schema_stub.PATH.read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
SCALARS = {
    **dict.fromkeys(("CPPTYPE_INT32", "CPPTYPE_INT64", "CPPTYPE_UINT32"), "int"),
    **dict.fromkeys(("CPPTYPE_FLOAT", "CPPTYPE_DOUBLE"), "float"),
    "CPPTYPE_BOOL": "bool",
}


def test_the_committed_stub_is_what_the_table_generates() -> None:
    assert schema_stub.PATH.read_text(encoding="utf-8") == schema_stub.text(), (
        "run: python -m tinynet.caffeformat.schema_stub"
    )


def test_the_stub_has_every_name_of_the_module() -> None:
    named = {alias.asname for node in STUB.body for alias in getattr(node, "names", [])}
    assigned = {
        node.targets[0].id
        for node in STUB.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert {*schema.__all__} <= named | assigned
    assert CLASSES.keys() == schema.MESSAGES.keys()


def _attributes(message: str) -> dict[str, str]:
    """Name and type of each attribute that the stub states."""
    found = {}
    for node in CLASSES[message].body:
        if isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = ast.unparse(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.decorator_list:
            assert node.returns is not None
            found[node.name] = ast.unparse(node.returns)
    return found


def _type(message: str, field: FieldDescriptor, many: bool) -> str:
    if field.message_type is not None:
        kind = field.message_type.name
        return f"RepeatedCompositeFieldContainer[{kind}]" if many else kind
    if field.enum_type is not None:
        kind = field.enum_type.name
        kind = kind if field.enum_type.containing_type is None else f"_{message}_{kind}"
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        kind = "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "str"
    else:
        kind = next(
            kind for name, kind in SCALARS.items() if field.cpp_type == getattr(field, name)
        )
    return f"RepeatedScalarFieldContainer[{kind}]" if many else kind


@pytest.mark.parametrize("message", schema.MESSAGES)
def test_each_attribute_of_a_message_has_the_type_that_protobuf_gives_it(message: str) -> None:
    descriptor = schema.MESSAGES[message].DESCRIPTOR
    empty = schema.MESSAGES[message]()
    expected = {}
    for enum in descriptor.enum_types:
        kind = f"_{message}_{enum.name}"
        expected[enum.name] = f"_EnumTypeWrapper[{kind}]"
        expected.update({value.name: kind for value in enum.values})
    for field in descriptor.fields:
        many = hasattr(getattr(empty, field.name), "extend")
        expected[field.name] = _type(message, field, many)
    assert _attributes(message) == expected
