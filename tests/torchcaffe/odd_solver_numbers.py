"""Solvers whose numbers are 0, negative or huge: field, value, what else the solver has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

HUGE = 2**31 - 1
WHOLE = (0, -1, HUGE)
REAL = (0, -1, 1e38)
# real Caffe runs all of them before it checks for a stop; the tests of a stop cover these
ENDLESS = {("iter_size", HUGE), ("test_iter", HUGE)}

NET = """
net_param {
  layer { name: "in" type: "DummyData" top: "x" top: "t" dummy_data_param {
    shape { dim: 4 dim: 3 } shape { dim: 4 }
    data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
}
"""


class Case(NamedTuple):
    """``field: value`` in a solver of ``settings``."""

    field: str
    value: float
    settings: dict[str, str]

    def text(self, prefix: str) -> str:
        given = {
            "base_lr": "0.1",
            "lr_policy": '"fixed"',
            "max_iter": "3",
            "random_seed": "1",
            "snapshot_prefix": f'"{prefix}"',
            **self.settings,
            self.field: f"{self.value:g}" if isinstance(self.value, float) else str(self.value),
        }
        return NET + " ".join(f"{name}: {value}" for name, value in given.items())

    def __str__(self) -> str:
        kind = self.settings.get("type") or self.settings.get("lr_policy") or ""
        return " ".join(filter(None, [f"{self.field}={self.value:g}", kind.strip('"')]))


def cases() -> Iterator[Case]:
    tests = {"test_iter": "1", "test_interval": "2"}
    for field in ("test_iter", "test_interval"):
        yield from _all(field, WHOLE, **tests)
    for field in ("iter_size", "average_loss", "snapshot", "device_id", "test_interval", "display"):
        yield from _all(field, WHOLE)
    yield from _all("max_iter", WHOLE)
    yield from _all("random_seed", (0, -2, HUGE, 2**62))
    for field in ("base_lr", "weight_decay", "clip_gradients"):
        yield from _all(field, REAL)
    yield from _all("weight_decay", REAL, regularization_type='"L1"')
    for policy in ("step", "exp", "inv", "multistep", "sigmoid", "poly"):
        given = {"lr_policy": f'"{policy}"', "gamma": "0.5", "stepsize": "2", "stepvalue": "1"}
        given["power"] = "0.5"
        if policy != "poly":
            yield from _all("gamma", REAL, **given)
        if policy in ("inv", "poly"):
            yield from _all("power", REAL, **given)
        if policy in ("step", "sigmoid"):
            yield from _all("stepsize", WHOLE, **given)
        if policy == "multistep":
            yield from _all("stepvalue", WHOLE, **given)
        if policy == "poly":
            yield from _all("max_iter", WHOLE, **given)
    for kind in ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"):
        own = {"momentum2": "Adam", "rms_decay": "RMSProp"}
        for field in ("momentum", "delta", *(name for name in own if own[name] == kind)):
            yield from _all(field, REAL, type=f'"{kind}"')


def _all(field: str, values: tuple[float, ...], **settings: str) -> Iterator[Case]:
    return (Case(field, value, settings) for value in values)
