"""The states of a net's layers besides their blobs, such as a position in the data."""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.net import Net


def of(net: Net) -> dict[str, Any]:
    """Return the states of a net's layers by name, without the layers that have none."""
    found = {layer.name: layer.state() for layer in net.graph.layers}
    return {name: state for name, state in found.items() if state is not None}


def restore(net: Net, states: dict[str, Any], source: str) -> None:
    """Restore what ``of`` returned.  Raises CaffeError naming the layer."""
    layers = {layer.name: layer for layer in net.graph.layers if layer.state() is not None}
    check(
        set(layers) == set(states),
        f"{source}: it has states of the layers {', '.join(sorted(states)) or 'none'}; this net "
        f"needs those of {', '.join(sorted(layers)) or 'none'}",
    )
    for name, state in states.items():
        check(isinstance(state, dict), f"{source}: the state of layer '{name}' is not an object")
        layers[name].set_state(state)
