"""Examples of V0 and V1 nets, whose fields count by what they become in today's format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.torchcaffe import old_nets
from tests.torchcaffe.every_field.observing import Example, Seen
from tinynet.caffeformat import schema, text, upgrade

_SEEDS = 4


def _see(message: Any) -> Seen:
    upgraded = schema.NetParameter()
    upgraded.CopyFrom(message)
    messages: list[tuple[str, str]] = []
    whole = upgrade.upgrade(
        upgraded, "net", lambda severity, words: messages.append((severity, words))
    )
    return {"upgraded": text.format(upgraded), "whole": whole, "messages": messages}


def old_formats() -> Iterator[Example]:
    """Nets with a layer of every old type and anything in each."""
    only = ("V1LayerParameter", "V0LayerParameter")
    for seed in range(_SEEDS):
        yield Example(f"v1 {seed}", old_nets.random_v1(seed), _see, only)
        yield Example(f"v0 {seed}", old_nets.random_v0(seed), _see, only)
    blob = {"data": [1.0], "num": 1, "channels": 1, "height": 1, "width": 1}
    v1 = schema.NetParameter()
    v1.layers.add(name="l", type=schema.V1LayerParameter.INNER_PRODUCT, blobs=[blob])
    yield Example("v1 with blobs", v1, _see, (*only, "NetParameter"))
    v0 = schema.NetParameter()
    v0.layers.add().layer.MergeFrom(
        schema.V0LayerParameter(name="l", type="innerproduct", blobs=[blob])
    )
    yield Example("v0 with blobs", v0, _see, only)
