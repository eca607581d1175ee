"""The class of a layer case, and values that cases share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.torchcaffe.small_nets import Shape, layer, net, normal

Inputs = dict[str, "Shape | np.ndarray"]

_LOSS_TYPES = ("EuclideanLoss", "HingeLoss", "SigmoidCrossEntropyLoss", "SoftmaxWithLoss")


class Case(NamedTuple):
    """One layer from ``inputs`` (name → shape, or values) to ``tops``.

    ``learned`` is for layers that refuse to pass a diff to some or all of their inputs: it names
    those that get one.  Each of these then comes through a Bias, whose parameter learns, and the
    net has a loss of its own, the sum of the squares of the tops.  Without ``learned`` all inputs
    have a diff, or those for which a loss layer has one.
    """

    type: str
    parameters: str = ""
    inputs: Inputs = {"x": (2, 3, 3, 4)}
    tops: str = "y"
    phase: int = 0
    learned: tuple[str, ...] | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {
            name: given if isinstance(given, np.ndarray) else normal(7 + number, given)
            for number, (name, given) in enumerate(self.inputs.items())
        }

    @property
    def driven_tops(self) -> list[str]:
        """The tops whose diff is given; none if the net has a loss."""
        has_loss = self.type in _LOSS_TYPES or self.learned is not None
        return [] if has_loss else self.tops.split()

    @property
    def learned_inputs(self) -> list[str]:
        """The inputs that have a gradient: labels and logistic targets (t) have none."""
        if self.learned is not None:
            return []  # the gradient goes to the parameter of its Bias
        both = self.type not in _LOSS_TYPES or self.type == "EuclideanLoss"
        return [name for name in self.inputs if both or name == "x"]

    @property
    def request(self) -> dict[str, Any]:
        """Two passes whose parameter diffs add up, which shows whether a diff is overwritten."""
        return {
            "net": self.text,
            "top_diffs": self.driven_tops,
            "phase": self.phase,
            "passes": 2,
            "clear": False,
        }

    @property
    def normalizes_by_batch(self) -> bool:
        """Whether this is a BatchNorm that uses its batch's own mean and variance."""
        if self.type != "BatchNorm" or "use_global_stats: true" in self.parameters:
            return False
        return self.phase == 0 or "use_global_stats: false" in self.parameters

    @property
    def text(self) -> str:
        shapes = [(name, array.shape) for name, array in self.arrays.items()]
        if self.learned is None:
            one = layer(self.type, " ".join(self.inputs), self.tops, self.parameters)
            return net(one, *shapes)
        layers = ""
        everywhere = "bias_param { axis: 0 num_axes: -1 }"
        for name in self.learned:
            layers += layer("Bias", name, f"{name}_learned", everywhere, f"{name}_bias")
        bottoms = [f"{name}_learned" if name in self.learned else name for name in self.inputs]
        layers += layer(self.type, " ".join(bottoms), self.tops, self.parameters)
        squares = "reduction_param { operation: SUMSQ } loss_weight: 1"
        for top in self.tops.split():
            layers += layer("Reduction", top, f"{top}_squares", squares, f"{top}_loss")
        return net(layers, *shapes, force_backward=False)


def positive(seed: int, shape: Shape) -> np.ndarray:
    return np.abs(normal(seed, shape)) + np.float32(0.1)


def whole(seed: int, shape: Shape, end: int, start: int = 0) -> np.ndarray:
    """Whole numbers from ``start`` up to, but not including, ``end``."""
    return np.random.default_rng(seed).integers(start, end, shape).astype(np.float32)


ROW: Inputs = {"x": (4, 7)}
WIDE: Inputs = {"x": (2, 6, 3, 4)}
PAIR: Inputs = {"a": (2, 3, 4), "b": (2, 3, 4)}
THREE: Inputs = {**PAIR, "c": (2, 3, 4)}
UNIFORM = 'filler { type: "uniform" min: -1 max: 1 }'
