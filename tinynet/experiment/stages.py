"""The eight stages of the paper's dissection (its section 3), independent of Caffe.

Stage 1 is the paper's list of 14 layers.  Every later stage is the one before it with exactly one
named change, so this file can be checked side by side with the paper's two lists.  The learning
rates and schedules are in ``hyperparameters``, decisions on open questions in ``assumptions``.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, Union

from tinynet.errors import UsageError
from tinynet.experiment.hyperparameters import HYPERPARAMETERS, MEMBERS, Hyperparameters, Member

CLASSES = 0
"""Stands for one unit per class of the data set (200 in the paper)."""


# ---------------------------------------------------------------------- the kinds of layer


@dataclass(frozen=True)
class Data:
    """Images and labels; in training mirrored and cropped at random.  Crop 0: the whole image."""

    mirror: bool = False
    crop: int = 0


@dataclass(frozen=True)
class Convolution:
    name: str
    filter_size: int
    filters: int
    stride: int = 1


@dataclass(frozen=True)
class ReLU:
    name: str
    negative_slope: float = 0.0


@dataclass(frozen=True)
class MaxPooling:
    name: str
    stride: int = 2
    kernel: int = 2


@dataclass(frozen=True)
class FullyConnected:
    name: str
    units: int


@dataclass(frozen=True)
class Dropout:
    name: str
    probability: float = 0.5


@dataclass(frozen=True)
class Softmax:
    """The classifier: softmax and cross-entropy in training, probabilities in deployment."""


Layer = Union[Data, Convolution, ReLU, MaxPooling, FullyConnected, Dropout, Softmax]
Layers = tuple[Layer, ...]
Kind = TypeVar("Kind", Data, ReLU)


# ------------------------------------------------------------------------- the one change


def insert_after(layers: Layers, name: str, new: Layer) -> Layers:
    """The layers with ``new`` inserted after the one called ``name``."""
    at = _position(layers, name) + 1
    return (*layers[:at], new, *layers[at:])


def replace_layers(layers: Layers, first: str, last: str, *new: Layer) -> Layers:
    """The layers with ``new`` in place of those from ``first`` to ``last``."""
    return (*layers[: _position(layers, first)], *new, *layers[_position(layers, last) + 1 :])


def change_each(layers: Layers, kind: type[Kind], change: Callable[[Kind], Layer]) -> Layers:
    """The layers, with ``change`` applied to every one of a kind."""
    return tuple(change(layer) if isinstance(layer, kind) else layer for layer in layers)


def resize(layers: Layers, **sizes: int) -> Layers:
    """The layers with other numbers of filters or units: ``resize(layers, conv1=64, fc1=2048)``."""

    def resized(layer: Layer) -> Layer:
        if isinstance(layer, Convolution) and layer.name in sizes:
            return replace(layer, filters=sizes[layer.name])
        if isinstance(layer, FullyConnected) and layer.name in sizes:
            return replace(layer, units=sizes[layer.name])
        return layer

    return tuple(map(resized, layers))


def _position(layers: Layers, name: str) -> int:
    return [getattr(layer, "name", None) for layer in layers].index(name)


# ------------------------------------------------------------------------------ the stages


@dataclass(frozen=True)
class Stage:
    """One step of the dissection.

    ``name``: its folder; ``title``: the paper's words; ``change``: its difference from the stage
    before it; ``members``: how many models are trained and averaged; ``max_norm``: the limit of
    each unit's norm for ``tinynet train --max-norm``, None for no limit.
    """

    number: int
    name: str
    title: str
    change: str
    layers: Layers
    members: int = 1
    max_norm: float | None = None

    @property
    def data(self) -> Data:
        return next(layer for layer in self.layers if isinstance(layer, Data))

    @property
    def label(self) -> str:
        """Its name in tables and figures: its number, and its title in the paper's table."""
        return f"{self.number} {self.title}"

    @property
    def heading(self) -> str:
        """Its name in the comments of its generated files."""
        return f"Stage {self.number}, {self.title.removeprefix('+ ')}"

    @property
    def is_ensemble(self) -> bool:
        return self.members > 1

    @property
    def train_options(self) -> tuple[str, ...]:
        """Options that ``tinynet train`` needs, since no prototxt can state them."""
        return () if self.max_norm is None else ("--max-norm", f"{self.max_norm:g}")

    @property
    def hyperparameters(self) -> Hyperparameters:
        return HYPERPARAMETERS[self.number]

    def _repr_html_(self) -> str:
        """The stage as a notebook shows it: its change, and its layers."""
        rows = "".join(f"<li><code>{html.escape(str(layer))}</code></li>" for layer in self.layers)
        return f"<b>{html.escape(self.heading)}</b>: {html.escape(self.change)}<ol>{rows}</ol>"

    def require_member(self, member: int | None) -> None:
        """Raise UsageError unless ``member`` is one of the stage, or None if it has none."""
        if not self.is_ensemble:
            if member is not None:
                raise UsageError(f"stage {self.number} has no members: leave member {member} out")
        elif member is None:
            raise UsageError(
                f"stage {self.number} has members 1 to {self.members}: name one with --member 1, "
                "or member=1 in Python"
            )
        elif not 1 <= member <= self.members:
            raise UsageError(f"stage {self.number} has members 1 to {self.members}, not {member}")

    def input_size(self, image_size: int) -> int:
        """Height and width of the net's input, in pixels."""
        return self.data.crop or image_size


SIMPLE = Stage(
    number=1,
    name="stage1_simple",
    title="Simple model",
    change="the architecture of section 3",
    layers=(
        Data(),
        Convolution("conv1", filter_size=5, stride=1, filters=50),
        ReLU("relu1"),
        MaxPooling("pool1", stride=2),
        Convolution("conv2", filter_size=5, stride=1, filters=100),
        ReLU("relu2"),
        MaxPooling("pool2", stride=2),
        Convolution("conv3", filter_size=3, stride=1, filters=200),
        ReLU("relu3"),
        MaxPooling("pool3", stride=2),
        FullyConnected("fc1", units=400),
        ReLU("relu_fc1"),
        FullyConnected("fc2", units=CLASSES),
        Softmax(),
    ),
)

DROPOUT_1 = replace(
    SIMPLE,
    number=2,
    name="stage2_dropout1",
    title="+ dropout 1",
    change="dropout 0.5 between the two fully connected layers",
    layers=insert_after(SIMPLE.layers, "relu_fc1", Dropout("drop1", probability=0.5)),
)

DATA_AUGMENTATION = replace(
    DROPOUT_1,
    number=3,
    name="stage3_augmentation",
    title="+ data augmentation",
    change="random mirror and random 60x60 crops",
    layers=change_each(DROPOUT_1.layers, Data, lambda data: Data(mirror=True, crop=60)),
)

LEAKY_RELU = replace(
    DATA_AUGMENTATION,
    number=4,
    name="stage4_leaky_relu",
    title="+ leaky ReLU",
    change="negative slope 0.01 in every ReLU",
    layers=change_each(
        DATA_AUGMENTATION.layers, ReLU, lambda relu: replace(relu, negative_slope=0.01)
    ),
)

MORE_PARAMETERS = replace(
    LEAKY_RELU,
    number=5,
    name="stage5_more_parameters",
    title="+ more parameters",
    change="64, 128 and 256 filters, 2048 units in fc1",
    layers=resize(LEAKY_RELU.layers, conv1=64, conv2=128, conv3=256, fc1=2048),
)

SPLIT_CONV_2 = replace(
    MORE_PARAMETERS,
    number=6,
    name="stage6_split_conv2",
    title="+ split second conv layer",
    change="three 3x3 layers, each with its ReLU, for conv2",
    layers=replace_layers(
        MORE_PARAMETERS.layers,
        "conv2",
        "relu2",
        Convolution("conv2a", filter_size=3, filters=128),
        ReLU("relu2a", negative_slope=0.01),
        Convolution("conv2b", filter_size=3, filters=128),
        ReLU("relu2b", negative_slope=0.01),
        Convolution("conv2c", filter_size=3, filters=128),
        ReLU("relu2c", negative_slope=0.01),
    ),
)

DROPOUT_2 = replace(
    SPLIT_CONV_2,
    number=7,
    name="stage7_dropout2",
    title="+ dropout 2",
    change="dropout 0.5 between the last conv block and fc1",
    layers=insert_after(SPLIT_CONV_2.layers, "pool3", Dropout("drop2", probability=0.5)),
)

ENSEMBLE = replace(
    DROPOUT_2,
    number=8,
    name="stage8_ensemble",
    title="+ ensemble model",
    change=f"{len(MEMBERS)} models, their probabilities averaged",
    members=len(MEMBERS),
)

STAGES: tuple[Stage, ...] = (
    SIMPLE,
    DROPOUT_1,
    DATA_AUGMENTATION,
    LEAKY_RELU,
    MORE_PARAMETERS,
    SPLIT_CONV_2,
    DROPOUT_2,
    ENSEMBLE,
)


def stage(number: int) -> Stage:
    """The stage with this number, 1 to 8.  Raises UsageError if there is none."""
    for candidate in STAGES:
        if candidate.number == number:
            return candidate
    raise UsageError(f"no stage {number}; the stages are 1 to {len(STAGES)} (see 'tinynet stages')")


def member(number: int) -> Member:
    """The ensemble member with this number, 1 to 11.  Raises UsageError if there is none."""
    for candidate in MEMBERS:
        if candidate.number == number:
            return candidate
    raise UsageError(f"no member {number}; the ensemble's members are 1 to {len(MEMBERS)}")
