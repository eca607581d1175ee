"""What a net's layers say of themselves besides their blobs: where in the data they are, say."""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.net import Net


def of(net: Net) -> dict[str, Any]:
    """What the layers of a net say of themselves, by name; those without a state left out."""
    found = {layer.name: layer.state() for layer in net.graph.layers}
    return {name: state for name, state in found.items() if state is not None}


def restore(net: Net, states: dict[str, Any], source: str) -> None:
    """Give the layers back what ``of`` returned.  Raises CaffeError naming the layer."""
    layers = {layer.name: layer for layer in net.graph.layers if layer.state() is not None}
    check(
        set(layers) == set(states),
        f"{source}: its net has states of the layers {', '.join(sorted(states)) or 'none'}; this "
        f"net has {', '.join(sorted(layers)) or 'none'}",
    )
    for name, state in states.items():
        check(isinstance(state, dict), f"{source}: the state of layer '{name}' is no object")
        layers[name].set_state(state)
