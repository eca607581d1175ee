"""Advice on a field that Caffe's messages do not have.

Three causes are common: a misspelling, the wrong kind of file (a solver given as a net), and a
field that a fork of Caffe added, which ``schema.declare`` can add here too.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

_SIMILAR = 0.82
"""The least similarity, 0 to 1, of a misspelling: kernal_size has 0.91, roi_pooling 0.78."""

_OTHER_FILE = {
    "NetParameter": ("SolverParameter", "this is a solver's file; give the net that it names"),
    "SolverParameter": ("NetParameter", "this is a net; give the file of its solver"),
}
_OF_LAYERS = ("LayerParameter", "V1LayerParameter")
_CAFFE_EQUIVALENTS = {
    ("PoolingParameter", "ceil_mode"): (
        "in Caffe it is round_mode: FLOOR for ceil_mode: false, and nothing for true"
    ),
}


def advice(owner: str, name: str, fields_of: Mapping[str, Collection[str]], begun: bool) -> str:
    """What to add to the message ``unknown field 'NAME' in OWNER``, from a semicolon on; or "".

    ``fields_of``: the names of every message's fields; ``begun``: whether any known field has been
    read before.
    """
    if (owner, name) in _CAFFE_EQUIVALENTS:
        return f"; {_CAFFE_EQUIVALENTS[owner, name]}"
    other, what = _OTHER_FILE.get(owner, ("", ""))
    if other and name in fields_of[other]:
        return f"; {what}"
    # the suffix that all layer parameters share would make any two of them similar
    stems = {
        known[: -len("_param")] if known.endswith("_param") else known: known
        for known in fields_of[owner]
    }
    stem = name[: -len("_param")] if name.endswith("_param") else name
    near = difflib.get_close_matches(stem[:80], stems, 1, _SIMILAR)
    if near:
        return f"; did you mean '{stems[near[0]]}'?"
    if owner in _OF_LAYERS:
        return (
            "; Caffe has no such field, but a fork's field can be declared: see 'tinynet manual "
            "layers-of-your-own'"
        )
    if not begun:  # the whole text may be something else
        return ""
    return "; Caffe has no such field: take it out"
