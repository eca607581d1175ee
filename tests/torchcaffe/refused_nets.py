"""Nets of one layer that must be refused, and what the message must say."""

from __future__ import annotations

from tests.torchcaffe.small_nets import Shape, layer, net

# num, channels, height, width of most inputs
X = (2, 3, 4, 5)


def refused(
    layer_type: str, parameters: str, *shapes: Shape, tops: str = "y", message: str
) -> tuple[str, str]:
    """Return (a net of one layer on inputs a, b, … of ``shapes``, a part of the message)."""
    names = [chr(ord("a") + i) for i in range(len(shapes))]
    text = layer(layer_type, " ".join(names), tops, parameters)
    return net(text, *zip(names, shapes)), message


def refused_convolution(parameters: str, message: str, shape: Shape = X) -> tuple[str, str]:
    return refused("Convolution", f"convolution_param {{ {parameters} }}", shape, message=message)
