"""What the paper tried or named beside its eight stages (sections 4.2 and 5), as stages.

Each variant changes one thing in a stage and is compared with that stage.  They are generated,
trained and scored like the eight, and are no part of the ladder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinynet.errors import UsageError
from tinynet.hyperparameters import Hyperparameters
from tinynet.stages import (
    Convolution,
    Dropout,
    Layers,
    MaxPooling,
    ReLU,
    Stage,
    change_each,
    insert_after,
    replace_layers,
    stage,
)

PREFIX = "variant_"


@dataclass(frozen=True)
class Variant(Stage):
    """A stage that is no step of the ladder.

    ``base``: the folder name of the stage that it is compared with.  ``learning``: how it learns;
    None as its base does.  ``max_norm``: the largest Euclidean norm of the weights that lead into
    one unit or filter, 0 for no limit; no field of Caffe's solver says it, so that ``tinynet
    train --max-norm`` keeps it, in either engine, after every update.
    """

    base: str = ""
    learning: Hyperparameters | None = None
    max_norm: float = 0.0

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self.learning or super().hyperparameters

    @property
    def heading(self) -> str:
        return f"A variant of {self.base}, {self.title}"

    @property
    def train_options(self) -> tuple[str, ...]:
        """What ``tinynet train`` has to be told beside the solver."""
        return ("--max-norm", f"{self.max_norm:g}") if self.max_norm else ()


def _of(
    base: Stage,
    name: str,
    title: str,
    change: str,
    layers: Layers | None = None,
    learning: Hyperparameters | None = None,
    max_norm: float = 0.0,
) -> Variant:
    return Variant(
        number=base.number,
        name=PREFIX + name,
        title=title,
        change=change,
        layers=layers or base.layers,
        base=base.name,
        learning=learning,
        max_norm=max_norm,
    )


def _with_slope(base: Stage, slope: float) -> Variant:
    return _of(
        base,
        f"slope{round(100 * slope):03d}",
        f"leaky ReLU of slope {slope:g}",
        f"negative slope {slope:g} in every ReLU",
        change_each(base.layers, ReLU, lambda relu: replace(relu, negative_slope=slope)),
    )


def _dropout_everywhere(base: Stage) -> Layers:
    """Dropout behind every block: 0.25 behind convolutions, 0.5 around fc1 where it is already.

    Srivastava et al. keep 0.75 of a convolutional layer's units and 0.5 of a fully connected one's.
    """
    layers = base.layers
    for pool in [layer for layer in layers if isinstance(layer, MaxPooling)][:-1]:
        layers = insert_after(layers, pool.name, Dropout(f"drop_{pool.name}", probability=0.25))
    return layers


_MORE, _SPLIT, _LEAKY, _LAST = stage(5), stage(6), stage(4), stage(7)
# He et al.'s factor for leaky slopes is 1.0001 at 0.01: Caffe's plain MSRA filler serves
_MSRA = replace(_LAST.hyperparameters, filler="msra")
_DECAY = replace(_MSRA, lr_policy="poly", power=1.0, drops=())

VARIANTS: tuple[Variant, ...] = (
    _of(
        _MORE,
        "conv2_in_two",
        "second conv layer in two",
        "two 3x3 layers, each with its ReLU, for conv2",
        replace_layers(
            _MORE.layers,
            "conv2",
            "relu2",
            Convolution("conv2a", filter_size=3, filters=128),
            ReLU("relu2a", negative_slope=0.01),
            Convolution("conv2b", filter_size=3, filters=128),
            ReLU("relu2b", negative_slope=0.01),
        ),
    ),
    _of(
        _LAST,
        "dropout_everywhere",
        "dropout after every block",
        "dropout 0.25 after the first two blocks too, max-norm 3, three times the learning rate",
        _dropout_everywhere(_LAST),
        replace(_LAST.hyperparameters, base_lr=3 * _LAST.hyperparameters.base_lr),
        max_norm=3.0,
    ),
    *(_with_slope(_LEAKY, slope) for slope in (0.1, 0.3)),
    _of(_LAST, "msra", "MSRA initialization", "every layer's std from its fan-in", learning=_MSRA),
    _of(
        _LAST,
        "modern",
        "trained with what is known today",
        "MSRA initialization, and a learning rate that falls to 0 in a straight line",
        learning=_DECAY,
    ),
)


def variant(name: str) -> Variant:
    """The variant of a name, with or without its prefix.  Raises UsageError on another."""
    for candidate in VARIANTS:
        if name in (candidate.name, candidate.name.removeprefix(PREFIX)):
            return candidate
    known = ", ".join(found.name.removeprefix(PREFIX) for found in VARIANTS)
    raise UsageError(f"no variant '{name}'; the variants are {known}")
