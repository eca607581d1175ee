"""Caffe's messages as classes, and their fields.

``schema.NetParameter`` and all other messages of Caffe are classes here, with Caffe's field
numbers, types and defaults.  Enum values are attributes of their message
(``schema.PoolingParameter.MAX``), and ``schema.TRAIN`` and ``schema.TEST`` are the phases.

The classes are made at import time (``message_classes``), so a type checker cannot see them.  It
reads ``schema.pyi`` instead of this file: run ``python -m tinynet.caffeformat.schema_stub`` after
changing the table.
"""

from __future__ import annotations

from typing import Any, NewType

from tinynet.caffeformat import message_classes
from tinynet.caffeformat.message_classes import (
    FIELDS,
    MESSAGES,
    Field,
    assign,
    clear,
    declare,
    fields_of,
    is_set,
    load_installed,
)

__all__ = [
    "FIELDS",
    "MESSAGES",
    "Field",
    "Phase",
    "assign",
    "clear",
    "declare",
    "fields_of",
    "is_set",
    "load_installed",
]

Phase = NewType("Phase", int)
"""The type of TRAIN and TEST."""


def __getattr__(name: str) -> Any:
    """Message classes and phases as attributes: ``schema.NetParameter``, ``schema.TEST``."""
    if name not in MESSAGES and name.endswith("Parameter"):
        load_installed()
    found = MESSAGES.get(name, message_classes.constant(name))
    if found is None:
        raise AttributeError(f"module {__name__!r} has no message or phase {name!r}")
    return found
