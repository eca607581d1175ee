"""Variants: what the paper tried or proposed besides its eight stages (sections 4.2 and 5).

Each variant changes one thing in a stage and is compared with that stage.  Variants are generated,
trained and scored like the eight stages, but do not belong to their sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinynet.errors import UsageError
from tinynet.experiment.hyperparameters import Hyperparameters
from tinynet.experiment.stages import (
    STAGES,
    Convolution,
    Dropout,
    Layers,
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
    """A stage outside the sequence of eight.

    ``base``: the folder name of the stage that it is compared with.  ``learning``: its
    hyperparameters; None: those of its base.
    """

    base: str = ""
    learning: Hyperparameters | None = None

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self.learning or super().hyperparameters

    @property
    def label(self) -> str:
        return f"variant of {self.number}: {self.title}"

    @property
    def heading(self) -> str:
        return f"A variant of {self.base}, {self.title}"


def _of(
    base: Stage,
    name: str,
    title: str,
    change: str,
    layers: Layers | None = None,
    learning: Hyperparameters | None = None,
    max_norm: float | None = None,
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


_LEAKY, _MORE, _LAST = stage(4), stage(5), stage(7)
# He et al.'s correction for leaky slopes is a factor of 1.0001 at 0.01, so Caffe's plain MSRA
# filler is good enough
_MSRA = replace(_LAST.hyperparameters, filler="msra")
# Srivastava et al. 2014, section 5.1 and appendices: early conv layers keep a unit with probability
# 0.75, norms are limited to 3 or 4, and the learning rate is raised by a factor of 10 or more.  A
# factor of 3 is a cautious choice: none of these values has been searched here.
_RAISED = replace(_LAST.hyperparameters, base_lr=3 * _LAST.hyperparameters.base_lr)
# Goyal et al. 2017, section 2.2: during five epochs the rate rises linearly from near 0
_MODERN = replace(_MSRA, lr_policy="poly", power=1.0, drops=(), warm_up=5)

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
    *(_with_slope(_LEAKY, slope) for slope in (0.1, 0.3)),
    _of(_LAST, "msra", "MSRA initialization", "every layer's std from its fan-in", learning=_MSRA),
    _of(
        _LAST,
        "dropout_everywhere",
        "dropout after every block, with max-norm",
        "dropout 0.25 after pool1 and pool2 too, and three times the learning rate; each unit's "
        "weights are to be kept to a norm of 4, which these files cannot say",
        insert_after(
            insert_after(_LAST.layers, "pool2", Dropout("drop4", probability=0.25)),
            "pool1",
            Dropout("drop3", probability=0.25),
        ),
        _RAISED,
        max_norm=4.0,
    ),
    _of(
        _LAST,
        "modern",
        "trained with what is known today",
        "MSRA initialization, and a learning rate that rises for five epochs and then falls to 0, "
        "both in straight lines",
        learning=_MODERN,
    ),
)


def net_of_folder(name: str) -> Stage | None:
    """The stage or variant whose folder has this name; None if none has."""
    return next((net for net in (*STAGES, *VARIANTS) if net.name == name), None)


def variant(name: str) -> Variant:
    """The variant with this name, with or without its prefix.  Raises UsageError if none has it."""
    for candidate in VARIANTS:
        if name in (candidate.name, candidate.name.removeprefix(PREFIX)):
            return candidate
    known = ", ".join(found.name.removeprefix(PREFIX) for found in VARIANTS)
    raise UsageError(f"no variant '{name}'; the variants are {known}")
