"""Layers that compute each value from one."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import ROW, UNIFORM, Case, positive
from tests.torchcaffe.small_nets import normal

NEURONS = {
    "sigmoid": Case("Sigmoid"),
    "sigmoid saturated": Case("Sigmoid", inputs={"x": normal(1, (4, 5)) * 40}),
    "tanh": Case("TanH"),
    "tanh saturated": Case("TanH", inputs={"x": normal(1, (4, 5)) * 20}),
    "elu": Case("ELU"),
    "elu alpha": Case("ELU", "elu_param { alpha: 0.3 }"),
    "elu alpha 0": Case("ELU", "elu_param { alpha: 0 }"),
    "absval": Case("AbsVal"),
    "prelu": Case("PReLU"),
    "prelu filler": Case("PReLU", f"prelu_param {{ {UNIFORM} }}"),
    "prelu shared": Case("PReLU", "prelu_param { channel_shared: true }"),
    "prelu rows": Case("PReLU", f"prelu_param {{ {UNIFORM} }}", ROW),
    "power": Case("Power"),
    "power scale shift": Case("Power", "power_param { scale: -0.5 shift: 2 }"),
    "power 2": Case("Power", "power_param { power: 2 scale: 0.7 }"),
    "power 2 shift": Case("Power", "power_param { power: 2 scale: 0.7 shift: -0.3 }"),
    "power 3": Case("Power", "power_param { power: 3 scale: 0.4 }"),
    "power 3 shift": Case("Power", "power_param { power: 3 scale: 0.4 shift: 1.5 }"),
    "power 0": Case("Power", "power_param { power: 0 shift: 3 }"),
    "power scale 0": Case("Power", "power_param { power: 3 scale: 0 shift: 1.5 }"),
    "power root": Case("Power", "power_param { power: 0.5 }", {"x": positive(1, (4, 5))}),
    "power inverse": Case(
        "Power", "power_param { power: -0.75 scale: 2 shift: 1 }", {"x": positive(1, (4, 5))}
    ),
    "exp": Case("Exp"),
    "exp base": Case("Exp", "exp_param { base: 2.5 }"),
    "exp base scale shift": Case("Exp", "exp_param { base: 0.4 scale: 1.5 shift: -0.7 }"),
    "exp natural scale shift": Case("Exp", "exp_param { scale: -1.5 shift: 0.7 }"),
    "exp base 1": Case("Exp", "exp_param { base: 1 scale: 2 }"),
    "log": Case("Log", inputs={"x": positive(2, (4, 5))}),
    "log base": Case("Log", "log_param { base: 10 }", {"x": positive(2, (4, 5))}),
    "log base scale shift": Case(
        "Log", "log_param { base: 0.5 scale: 3 shift: 0.2 }", {"x": positive(2, (4, 5))}
    ),
    "bnll": Case("BNLL"),
    "bnll saturated": Case("BNLL", inputs={"x": normal(1, (4, 5)) * 60}),
    "threshold": Case("Threshold", learned=()),
    "threshold negative": Case("Threshold", "threshold_param { threshold: -0.3 }", learned=()),
    "swish": Case("Swish"),
    "swish beta": Case("Swish", "swish_param { beta: -1.7 }"),
    "swish saturated": Case("Swish", inputs={"x": normal(1, (4, 5)) * 40}),
}
