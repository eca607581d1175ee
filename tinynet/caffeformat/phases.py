"""Which layers of a net run: Caffe's include and exclude rules (net.cpp, FilterNet)."""

from __future__ import annotations

from collections.abc import Collection

from tinynet.caffeformat import schema
from tinynet.errors import TinynetError


def meets(
    rule: schema.NetStateRule, phase: int, level: int = 0, stages: Collection[str] = ()
) -> bool:
    """Whether a state (phase, level, stages) meets every condition that a NetStateRule states.

    Caffe's NetState calls its labels stages; they have nothing to do with the paper's.
    """
    if rule.HasField("phase") and rule.phase != phase:
        return False
    if rule.HasField("min_level") and level < rule.min_level:
        return False
    if rule.HasField("max_level") and level > rule.max_level:
        return False
    return set(rule.stage) <= set(stages) and set(rule.not_stage).isdisjoint(stages)


def layers_of(
    net: schema.NetParameter, phase: int, level: int = 0, stages: Collection[str] = ()
) -> list[schema.LayerParameter]:
    """The layers of a net that run in a state.

    Without rules a layer runs; with ``include`` rules one must be met, with ``exclude`` rules none.
    Raises TinynetError on a layer that has both, as Caffe aborts on it.
    """
    running = []
    for layer in net.layer:
        if len(layer.include) and len(layer.exclude):
            raise TinynetError(f"layer {layer.name}: give include rules or exclude rules, not both")
        included = any(meets(rule, phase, level, stages) for rule in layer.include)
        excluded = any(meets(rule, phase, level, stages) for rule in layer.exclude)
        if included or (not len(layer.include) and not excluded):
            running.append(layer)
    return running
