"""Layer: the contract between the net and every layer type, and the registry of types.

Who calls what, and when (Caffe's ``include/caffe/layer.hpp``):

``setup(bottom, top)``    The net calls it once per layer, in order.  It reads and checks the
                          parameters, and makes and fills ``self.blobs``.  Random draws happen here.
``reshape(bottom, top)``  Called after setup and before every forward.  It sets the shape of each
                          top from the bottoms' shapes; it is cheap and draws nothing.  One marked
                          ``by_shapes`` is skipped while no shape changes.
``forward(bottom, top)``  Reads ``bottom[i].tensor`` and calls ``top[i].set_data(…)``.
``backward(top, propagate_down, bottom)``
                          Reads ``top[i].grad``; for each i with ``propagate_down[i]`` calls
                          ``bottom[i].set_diff(…)``; for each parameter j with
                          ``self.param_propagate_down[j]`` calls ``self.blobs[j].add_diff(…)``.

A layer may work in place (with the same Blob as bottom and top) unless its class says that it
cannot.  Then ``backward`` finds the top's values in ``bottom[0].tensor``; a layer that needs the
bottom's values there keeps them in forward (``Blob.data_to_keep``).

``state()``, ``set_state(…)``
                          Called between two iterations to save or restore a run exactly.  The state
                          is what determines the layer's later forwards besides its blobs and the
                          main random stream: the position of a layer that reads data, for example.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from typing import Any, Callable, ClassVar, TypeVar

import torch

from tinynet.caffeformat import plugins, schema
from tinynet.torchcaffe import acceleration, fillers, glog
from tinynet.torchcaffe.blob import Blob, shape_of
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, as_caffe_errors
from tinynet.torchcaffe.set_once import SetOnce
from tinynet.torchcaffe.snapshots import stored_blobs
from tinynet.torchcaffe.vectors import BlobVec

Blobs = list[Blob]
Method = TypeVar("Method", bound=Callable[..., None])


def by_shapes(reshape: Method) -> Method:
    """Mark a ``reshape`` that depends only on the shapes of the bottoms and the tops.

    The net then calls it only when a shape has changed.  A method that overrides it must be marked
    itself.
    """
    reshape.by_shapes = True  # type: ignore[attr-defined]
    return reshape


class Layer:
    """Base class of all layer types."""

    type: str = ""
    # (least, most) numbers of bottoms and tops; None for no upper bound.  If they depend on the
    # layer's parameters, __init__ sets them.
    num_bottom: tuple[int, int | None] = (1, 1)
    num_top: tuple[int, int | None] = (1, 1)
    equal_num_bottom_top: ClassVar[bool] = False
    # whether a top may be the blob of a bottom
    works_in_place: ClassVar[bool] = True
    # whether the net makes missing tops, so that a prototxt may omit them
    auto_top: ClassVar[bool] = False
    # the weight of top 0 in the net's loss where the prototxt states none
    default_loss_weight: ClassVar[float] = 0.0

    blobs = SetOnce[BlobVec]()

    def __init__(
        self, param: schema.LayerParameter, phase: int, blobs: BlobVec | None = None
    ) -> None:
        self.param = param
        self.phase = phase
        self.blobs = BlobVec() if blobs is None else blobs
        self.param_propagate_down: list[bool] = []
        self.loss_weights: list[float] = []
        self._reshaped: list[tuple[int, ...]] = []
        self._reshapes_by_shapes = hasattr(type(self).reshape, "by_shapes")
        # the mode may change later, or another thread, which has its own, may run the net
        self.device = CONTEXT.device
        self._float32 = CONTEXT.precision == "float32"
        self._bfloat16 = CONTEXT.precision == "bf16"

    @property
    def name(self) -> str:
        return self.param.name

    @property
    def for_scripts(self) -> object:
        """What ``net.layers`` shows to scripts: the layer itself, or a user's Python object."""
        return self

    # --- for subclasses

    def cast(self, values: torch.Tensor) -> torch.Tensor:
        """Convert ``values`` to bfloat16 if the net computes in it (precision.py)."""
        return values.to(torch.bfloat16) if self._bfloat16 else values

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        """Read and check the parameters and make ``self.blobs``."""

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        raise NotImplementedError(f"{type(self).__name__}.reshape")

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        """Raise CaffeError if a diff is wanted: by default a layer propagates nothing."""
        self.require(not any(propagate_down), "has no backward computation")

    def state(self) -> dict[str, Any] | None:
        """Return what the layer needs to resume exactly, in JSON's types; None for nothing."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Resume from what ``state`` returned.  Raises CaffeError if it does not fit this layer."""
        self.require(False, "has no state to resume from")

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Whether ``force_backward`` may ask for this bottom's diff (not if it holds labels)."""
        return True

    def require(self, condition: bool, message: str) -> None:
        """Raise CaffeError naming this layer unless ``condition`` holds."""
        if not condition:
            raise CaffeError(f"{self.type} layer {self.name}: {message}")

    def canonical_axis(self, axis: int, axes: int) -> int:
        """Return ``axis`` counted from the front; a negative one counts from the end."""
        self.require(-axes <= axis < axes, f"axis {axis} is outside of a {axes}-axis blob")
        return axis + axes if axis < 0 else axis

    def add_blob(
        self, shape: tuple[int, ...], filler: schema.FillerParameter | None = None
    ) -> Blob:
        """Append a parameter of ``shape`` to ``self.blobs``, filled by ``filler`` (None: zeros).

        If the prototxt states the layer's ``blobs``, their values are used and nothing is drawn.
        """
        blob = Blob(shape)
        index = len(self.blobs)
        what = f"blob {index} of layer {self.name}"
        if index < len(self.param.blobs):
            stored_blobs.load(blob, self.param.blobs[index], what)
        elif filler is not None:
            blob.load(fillers.fill(filler, shape, CONTEXT.stream), what)
        self.blobs.append(blob)
        return blob

    # --- for the net

    def set_up(self, bottom: Blobs, top: Blobs) -> None:
        """Check the numbers of blobs, set up, reshape, and set the loss weights."""
        self._check_counts(bottom, top)
        self.setup(bottom, top)
        self.blobs.fix()
        stated = len(self.param.blobs)
        self.require(
            stated in (0, len(self.blobs)),
            f"blobs must be given never or once per parameter; got {stated} for {len(self.blobs)}",
        )
        self.param.ClearField("blobs")  # self.blobs has their values now
        self.reshape(bottom, top)
        self.param_propagate_down = [True] * len(self.blobs)
        self._set_loss_weights(top)

    def reshape_where_needed(self, bottom: Blobs, top: Blobs) -> None:
        """Call ``reshape``, unless it is ``by_shapes`` and no shape has changed since."""
        if not self._reshapes_by_shapes:
            self.reshape(bottom, top)
        elif [*map(shape_of, bottom), *map(shape_of, top)] != self._reshaped:
            self.reshape(bottom, top)
            self._reshaped = [*map(shape_of, bottom), *map(shape_of, top)]

    def loss(self, top: Blobs) -> torch.Tensor | None:
        """This layer's part of the net's loss, Σ top · its diff, 0-d; None without weights.

        The diff of a loss is its weight, until a script sets another.
        """
        total = None
        if not any(self.loss_weights):
            return None
        for blob, weight in zip(top, self.loss_weights):
            if weight:
                part = (blob.tensor * blob.grad).sum()
                total = part if total is None else total + part
        return total

    def _check_counts(self, bottom: Blobs, top: Blobs) -> None:
        for word, blobs, (least, most) in (
            ("bottom", bottom, self.num_bottom),
            ("top", top, self.num_top),
        ):
            if len(blobs) < least or (most is not None and len(blobs) > most):
                if least == most:
                    rule = f"exactly {least}"
                elif most is None:
                    rule = f"at least {least}"
                else:
                    rule = f"{least} to {most}"
                self.require(False, f"takes {rule} {word} blob(s); got {len(blobs)}")
        if self.equal_num_bottom_top:
            self.require(
                len(bottom) == len(top),
                f"takes as many tops as bottoms; got {len(bottom)} and {len(top)}",
            )
        if not self.works_in_place:
            shared = any(above is below for above in top for below in bottom)
            self.require(not shared, "cannot work in place: its top must not be its bottom")

    def _set_loss_weights(self, top: Blobs) -> None:
        weights = list(self.param.loss_weight)
        if not weights and self.default_loss_weight:
            weights = [self.default_loss_weight]  # for one top; more tops need stated weights
            self.param.loss_weight.extend(weights)  # so that a snapshot states it, as Caffe's do
        if weights:
            self.require(
                len(weights) == len(top),
                f"loss_weight must be unspecified or specified once per top; "
                f"got {len(weights)} for {len(top)} tops",
            )
        self.loss_weights = weights or [0.0] * len(top)
        for blob, weight in zip(top, self.loss_weights):
            if weight:
                # the diff of a loss is its weight, where backward starts
                blob.set_diff(torch.full(blob.shape, weight, device=blob.tensor.device))


_TYPES: dict[str, type[Layer]] = {}


def register(type_name: str) -> Callable[[type[Layer]], type[Layer]]:
    """Class decorator: make the class the layer type ``type_name`` of prototxt files.

    A layer of your own needs nothing else, as long as its module is imported before the net is
    made::

        @register("ReLU6")
        class ReLU6(NeuronLayer):
            def forward(self, bottom: Blobs, top: Blobs) -> None:
                top[0].set_data(bottom[0].data_to_keep().clamp(0, 6))

    An installed package can have its module imported everywhere, by ``tinynet caffe train`` too,
    with an entry point in the group ``tinynet.layers`` that names the module.  The layer's own
    parameters, such as ``permute_param { … }``, are declared by
    ``tinynet.caffeformat.schema.declare``.

    Raises ValueError if the type is registered already.
    """

    def add(layer_class: type[Layer]) -> type[Layer]:
        if type_name in _TYPES:
            raise ValueError(f"layer type {type_name} is registered already")
        layer_class.type = type_name
        _TYPES[type_name] = layer_class
        return layer_class

    return add


@functools.cache
def _load_types() -> None:
    """Import the modules of ``layer_types``, then those of the entry points ``tinynet.layers``.

    To add a layer to the engine is to add one file to ``layer_types``.
    """
    package = importlib.import_module("tinynet.torchcaffe.layer_types")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    with as_caffe_errors():
        for _ in plugins.load("tinynet.layers"):
            pass  # importing the module registered its layers


def layer_type_list() -> list[str]:
    """Return the names of all layer types, sorted (pycaffe's ``layer_type_list``)."""
    _load_types()
    return sorted(_TYPES)


def create_layer(param: schema.LayerParameter, phase: int) -> Layer:
    """Create the layer that a LayerParameter describes.

    Raises CaffeError for an unknown type.
    """
    known = layer_type_list()
    if param.type not in _TYPES:
        near = difflib.get_close_matches(param.type, known, 1, 0.85)  # ROIPooling, Pooling: 0.82
        slip = f"did you mean '{near[0]}'? Or " if near else ""
        raise CaffeError(
            f"unknown layer type '{param.type}' (layer {param.name}); {slip}a layer of a fork "
            "can be added: see 'tinynet manual layers-of-your-own'"
        )
    glog.info(f"Creating layer {param.name}")
    return acceleration.stand_in(_TYPES[param.type])(param, phase)
