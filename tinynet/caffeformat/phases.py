"""Which layers of a net run: Caffe's include and exclude rules (net.cpp, FilterNet)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from tinynet.caffeformat import schema
from tinynet.errors import TinynetError


def broken_condition(state: schema.NetState, rule: schema.NetStateRule) -> str | None:
    """How a NetState breaks a NetStateRule, in Caffe's words; None if it meets the rule.

    NetState's stages are labels, and have nothing to do with the paper's stages.  (Caffe says
    "above" of a level below min_level too; so do we, since tests compare the logs.)
    """
    if rule.HasField("phase") and rule.phase != state.phase:
        return f"phase ({state.phase}) differed from the phase ({rule.phase})"
    if rule.HasField("min_level") and state.level < rule.min_level:
        return f"level ({state.level}) is above the min_level ({rule.min_level})"
    if rule.HasField("max_level") and state.level > rule.max_level:
        return f"level ({state.level}) is above the max_level ({rule.max_level})"
    for stage in rule.stage:
        if stage not in state.stage:
            return f"did not contain stage '{stage}'"
    for stage in rule.not_stage:
        if stage in state.stage:
            return f"contained a not_stage '{stage}'"
    return None


def _silent(message: str) -> None:
    pass


def runs(
    layer: schema.LayerParameter, state: schema.NetState, say: Callable[[str], None] = _silent
) -> bool:
    """Whether a layer runs in a state; ``say`` gets a message for each rule that the state breaks.

    A layer without rules runs; one with ``include`` rules runs if the state meets one of them, one
    with ``exclude`` rules if it meets none.  Raises TinynetError for a layer that has both, as
    Caffe aborts.
    """

    def meets_one(rules: Iterable[schema.NetStateRule]) -> bool:
        for rule in rules:
            broken = broken_condition(state, rule)
            if broken is None:
                return True
            say(f"The NetState {broken} specified by a rule in layer {layer.name}")
        return False

    if len(layer.include) and len(layer.exclude):
        raise TinynetError(f"layer {layer.name}: give include rules or exclude rules; not both")
    return meets_one(layer.include) if len(layer.include) else not meets_one(layer.exclude)


def layers_of(net: schema.NetParameter, phase: int) -> list[schema.LayerParameter]:
    """The layers of a net that run in a phase.  Raises TinynetError as ``runs`` does."""
    state = schema.NetState(phase=cast("schema.Phase", phase))
    return [layer for layer in net.layer if runs(layer, state)]
