"""Random messages over the whole schema, for tests that must hold for any message."""

from __future__ import annotations

import random
import struct
from typing import Any

from tinynet.caffeformat import schema, text

STRINGS = ["", "conv1", "a b", 'quo"te', "back\\slash", "tab\tline\nend", "größe 图", "\x01\x7f7"]


def _float32(rng: random.Random) -> float:
    if rng.random() < 0.1:
        edges = [0.0, -0.0, float("inf"), float("-inf"), 1e-45, 3.4028235e38, 0.01]
        return text.to_float32(rng.choice(edges))
    bits = rng.getrandbits(32)
    if bits & 0x7F800000 == 0x7F800000:  # infinities are above, and NaN has many bit patterns
        bits &= ~0x40000000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def _scalar(field: schema.Field, rng: random.Random) -> Any:
    return {
        "bool": lambda: rng.random() < 0.5,
        "bytes": lambda: rng.randbytes(rng.randrange(9)),
        "double": lambda: rng.uniform(-1e9, 1e9),
        "enum": lambda: rng.choice(list(field.values.values())),
        "float": lambda: _float32(rng),
        "int32": lambda: rng.randrange(-(2**31), 2**31),
        "int64": lambda: rng.randrange(-(2**63), 2**63),
        "string": lambda: rng.choice(STRINGS),
        "uint32": lambda: rng.randrange(2**32),
    }[field.kind]()


def fill(message: Any, rng: random.Random, share: float = 0.3, without: Any = ()) -> Any:
    """Set about ``share`` of the fields of a message at random, in depth; returns the message."""
    owner = message.DESCRIPTOR.name
    for field in schema.fields_of(message).values():
        if (owner, field.name) in without:
            continue
        if field.label != "required" and rng.random() > share:
            continue
        for _ in range(rng.randrange(1, 4) if field.repeated else 1):
            if field.kind == "message":
                child = getattr(message, field.name)
                child = child.add() if field.repeated else child
                if not field.repeated:
                    child.SetInParent()
                fill(child, rng, share / 2, without)
            elif field.repeated:
                getattr(message, field.name).append(_scalar(field, rng))
            else:
                setattr(message, field.name, _scalar(field, rng))
    return message
