"""The steps in which a net runs: by itself one for each layer, in order."""

from __future__ import annotations

from typing import NamedTuple

from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.layer import Layer


class Step(NamedTuple):
    """One layer and what it runs on; ``number`` is its place in the net, for callbacks."""

    number: int
    layer: Layer
    bottom: list[Blob]
    top: list[Blob]
    needs_backward: bool
    propagate_down: list[bool]


def steps_of(graph: NetGraph) -> list[Step]:
    """A step for each layer."""
    return [
        Step(*values)
        for values in zip(
            range(len(graph.layers)),
            graph.layers,
            graph.bottoms,
            graph.tops,
            graph.layer_need_backward,
            graph.bottom_need_backward,
        )
    ]
