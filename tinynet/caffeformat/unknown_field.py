"""What to do about a field that Caffe's messages do not have.

Three kinds are common: a slip of the pen, the other kind of file (a solver given as a net), and
what a fork of Caffe added, which ``schema.declare`` can add here too.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

_SLIP = 0.82
"""The least likeness, 0 to 1, that is taken for a slip: kernal_size has 0.91, roi_pooling 0.78."""

_OTHER_FILE = {
    "NetParameter": ("SolverParameter", "this is a solver's file; give the net that it names"),
    "SolverParameter": ("NetParameter", "this is a net; give the file of its solver"),
}
_OF_LAYERS = ("LayerParameter", "V1LayerParameter")
_CAFFES_OWN_WAY = {
    ("PoolingParameter", "ceil_mode"): (
        "in Caffe it is round_mode: FLOOR for ceil_mode: false, and nothing for true"
    ),
}


def advice(owner: str, name: str, fields_of: Mapping[str, Collection[str]], begun: bool) -> str:
    """What follows ``unknown field 'NAME' in OWNER``, from its semicolon on; may be nothing.

    ``fields_of`` has the names of every message's fields, ``begun`` says whether something
    of Caffe's has been read by now.
    """
    if (owner, name) in _CAFFES_OWN_WAY:
        return f"; {_CAFFES_OWN_WAY[owner, name]}"
    other, what = _OTHER_FILE.get(owner, ("", ""))
    if other and name in fields_of[other]:
        return f"; {what}"
    # what all parameters of layers have in common says nothing
    stems = {
        known[: -len("_param")] if known.endswith("_param") else known: known
        for known in fields_of[owner]
    }
    stem = name[: -len("_param")] if name.endswith("_param") else name
    near = difflib.get_close_matches(stem[:80], stems, 1, _SLIP)
    if near:
        return f"; did you mean '{stems[near[0]]}'?"
    if owner in _OF_LAYERS:
        return (
            "; Caffe has no such field, but that of a fork can be declared: see 'tinynet manual "
            "layers-of-your-own'"
        )
    if not begun:  # any text: what is wrong may be all of it
        return ""
    return "; Caffe has no such field: take it out"
