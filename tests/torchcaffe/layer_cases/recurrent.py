"""Recurrent layers: sequences that begin and continue, static inputs, an exposed hidden state."""

from __future__ import annotations

import numpy as np

from tests.torchcaffe.layer_cases.case import Case
from tests.torchcaffe.small_nets import Shape

STEPS, STREAMS, SIZE, STATIC = 4, 3, 2, 3
#: where sequences begin (0): two at the first step, one within the batch
CONT = np.ones((STEPS, STREAMS), np.float32)
CONT[0, :2] = CONT[2, 1] = 0
_FILLERS = (
    'weight_filler { type: "uniform" min: -0.5 max: 0.5 } bias_filler { type: "gaussian" std: 0.2 }'
)
_X: Shape = (STEPS, STREAMS, 5)
_INPUTS: dict[str, Shape | np.ndarray] = {"x": _X, "cont": CONT}
_H: Shape = (1, STREAMS, SIZE)


def recurrent(more: str = "", size: int = SIZE) -> str:
    return f"recurrent_param {{ num_output: {size} {_FILLERS} {more} }}"


def _cases(kind: str, parts: int) -> dict[str, Case]:
    state = {f"h{i}": _H for i in range(parts)}
    tops = " ".join(["y", *(f"last{i}" for i in range(parts))])
    static: dict[str, Shape | np.ndarray] = {**_INPUTS, "s": (STREAMS, STATIC)}
    exposed = recurrent("expose_hidden: true")
    return {
        f"{kind} {name}": Case(kind, parameters, inputs, "y" if case_tops is None else case_tops)
        for name, parameters, inputs, case_tops in (
            ("plain", recurrent(), _INPUTS, None),
            ("static", recurrent(), static, None),
            ("of maps", recurrent(), {"x": (STEPS, STREAMS, 2, 3), "cont": CONT}, None),
            ("static maps", recurrent(), {**_INPUTS, "s": (STREAMS, 2, 2)}, None),
            ("of one step", recurrent(), {"x": (1, *_X[1:]), "cont": CONT[2:3]}, None),
            ("half continued", recurrent(), {"x": _X, "cont": CONT * np.float32(0.5)}, None),
            ("exposed", exposed, {**_INPUTS, **state}, tops),
            ("exposed static", exposed, {**static, **state}, tops),
        )
    }


def _unit(tops: str = "c2 h2") -> Case:
    cont = np.array([[1, 0, 1, 0.5]], np.float32)
    return Case("LSTMUnit", "", {"c": (1, 4, 2), "g": (1, 4, 8), "cont": cont}, tops)


RECURRENT = {
    **_cases("RNN", 1),
    **_cases("LSTM", 2),
    "LSTMUnit": _unit(),
    "LSTMUnit on its cells": _unit("c h2"),
}
