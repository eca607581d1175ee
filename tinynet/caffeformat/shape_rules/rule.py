"""The form of a shape rule, and the registry of all rules by layer type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinynet.caffeformat import schema

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Result:
    tops: Sequence[Shape]
    parameters: Sequence[Shape] = ()
    multiply_adds: int = 0


Rule = Callable[[schema.LayerParameter, "list[Shape]", Shape], Result]
RULES: dict[str, Rule] = {}


def rule(*types: str) -> Callable[[Rule], Rule]:
    """Decorator: make a function the rule of these layer types.

    Raises ValueError if one of them already has a rule.
    """

    def register(function: Rule) -> Rule:
        for name in types:
            if name in RULES:
                raise ValueError(f"two shape rules for {name}")
            RULES[name] = function
        return function

    return register


def canonical(axis: int, shape: Shape) -> int:
    """``axis`` counted from the front; negative ones count from the end."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis {axis} of a blob with {len(shape)} axes")
    return axis % len(shape)
