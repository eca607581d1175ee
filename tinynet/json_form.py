"""Holds parsed JSON against the dataclass that it is to become: files are damaged, or forged."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "dict": (dict,),
    "list": (list,),
    "tuple": (list,),  # JSON has no tuples
    "None": (type(None),),
}


def fields_in(kind: Any, content: Any) -> dict[str, Any]:
    """The values of ``content`` that the dataclass ``kind`` has fields for.

    Raises ValueError, which names the field, where one has another type than the field states, in
    JSON's terms, down to the elements of lists and objects.  What another dataclass is to be made
    from is left to that.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{_shown(content)} stands for an object")
    found = {}
    for entry in fields(kind):
        if entry.name in content:
            value = content[entry.name]
            if not _fits(str(entry.type), value):
                raise ValueError(f"{entry.name} is {_shown(value)}, not {entry.type}")
            found[entry.name] = value
    return found


def _fits(annotation: str, value: Any) -> bool:
    """Whether a value has the type of an annotation, which is text: ``dict[str, int] | None``."""
    return any(_fits_one(part.strip(), value) for part in _split(annotation, "|"))


def _fits_one(annotation: str, value: Any) -> bool:
    name, _, inner = annotation.partition("[")
    if name not in _KINDS:  # Any, or a dataclass
        return True
    if type(value) not in _KINDS[name] or (isinstance(value, float) and math.isnan(value)):
        return False
    if not inner:
        return True
    elements = [part.strip() for part in _split(inner.removesuffix("]"), ",")]
    if isinstance(value, dict):
        return all(_fits(elements[1], item) for item in value.values())
    if name == "tuple" and elements[-1] != "...":
        same_length = len(value) == len(elements)
        return same_length and all(_fits(part, item) for part, item in zip(elements, value))
    return all(_fits(elements[0], item) for item in value)


def _split(text: str, mark: str) -> list[str]:
    """The parts of an annotation between marks that stand in no bracket."""
    parts, depth = [""], 0
    for sign in text:
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if sign == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
