"""Prototxt of small nets for tests: inputs, and the layers under test."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Shape = tuple[int, ...]

GAUSSIAN = 'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "uniform" }'


def dims(shape: Iterable[int]) -> str:
    return " ".join(f"dim: {dim}" for dim in shape)


def layer(layer_type: str, bottoms: str, tops: str, rest: str = "", name: str = "l") -> str:
    """One layer; ``bottoms`` and ``tops`` are names with spaces between."""
    wiring = [f'bottom: "{blob}"' for blob in bottoms.split()]
    wiring += [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{layer_type}" {" ".join(wiring)} {rest} }}\n'


def net(layers: str, *shapes: tuple[str, Shape], force_backward: bool = True) -> str:
    """A net of ``layers`` on inputs of the given (name, shape)."""
    tops = " ".join(name for name, _ in shapes)
    given = " ".join(f"shape {{ {dims(shape)} }}" for _, shape in shapes)
    head = layer("Input", "", tops, f"input_param {{ {given} }}", "in") if shapes else ""
    return f'name: "layers"\nforce_backward: {str(force_backward).lower()}\n{head}{layers}'


def one(layer_type: str, parameters: str, shape: Shape, tops: str = 'top: "y"') -> str:
    """A net of one layer ``x → y`` on an input of ``shape``."""
    text = f'layer {{ name: "l" type: "{layer_type}" bottom: "x" {tops} {parameters} }}'
    return net(text, ("x", shape))


def normal(seed: int, shape: Shape) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def x_of(shape: Shape) -> dict[str, np.ndarray]:
    return {"x": normal(7, shape)}
