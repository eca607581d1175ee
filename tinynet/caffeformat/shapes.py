"""Shapes, parameters and cost of a net, from its prototxt alone.

The cost model:

* **parameters** counts every weight and bias once, even if layers share it.
* **multiply-adds** are those of convolutions and inner products in one forward pass: one per weight
  that an output value reads.  Biases, pooling and nonlinearities are not counted.  A backward pass
  costs about twice as much.
* **memory** is what training must hold in float32: every blob with its gradient (in-place layers
  share theirs), and every parameter with its gradient and its momentum.  The convolutions' column
  buffers or cuDNN's workspace, and prefetched batches, are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tinynet.caffeformat import schema, upgrade
from tinynet.caffeformat.phases import layers_of
from tinynet.caffeformat.shape_rules import RULES, Shape
from tinynet.errors import TinynetError

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class LayerShapes:
    """One layer's tops, by name and shape, and its parameters.

    ``multiply_adds`` counts those of a whole batch.
    """

    name: str
    type: str
    tops: tuple[tuple[str, Shape], ...]
    parameters: tuple[Shape, ...] = ()
    multiply_adds: int = 0

    @property
    def parameter_count(self) -> int:
        return sum(map(prod, self.parameters))


@dataclass(frozen=True)
class NetShapes:
    """The layers of a net that run in one phase, in order, and their totals."""

    layers: tuple[LayerShapes, ...]
    parameters: int

    @property
    def blobs(self) -> dict[str, Shape]:
        """The shape of every blob, by name; if two have one name, that of the later."""
        return dict(top for layer in self.layers for top in layer.tops)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def training_memory(self) -> int:
        """Bytes, by the module's cost model."""
        values = sum(map(prod, self.blobs.values()))
        return FLOAT32 * (2 * values + 3 * self.parameters)


def infer(net: schema.NetParameter, phase: int, image: Sequence[int] = (3, 64, 64)) -> NetShapes:
    """Infer the shapes of a NetParameter, in any of Caffe's formats, in a phase.

    ``image`` (channels, height, width) is the shape of a Data layer's records, which no prototxt
    states.  Raises TinynetError, naming the layer, if the net is inconsistent, or if a layer's
    shape depends on its data or code.
    """
    if upgrade.needs_upgrade(net):
        old, net = net, schema.NetParameter()
        net.CopyFrom(old)
        upgrade.upgrade(net, net.name)
    blobs: dict[str, Shape] = {}
    found = []
    shared: dict[str, Shape] = {}
    parameters = 0
    for layer in layers_of(net, phase):
        shapes = _infer_layer(layer, blobs, tuple(image))
        blobs.update(shapes.tops)
        parameters += shapes.parameter_count - _already_counted(layer, shapes, shared)
        found.append(shapes)
    return NetShapes(tuple(found), parameters)


def _infer_layer(
    layer: schema.LayerParameter, blobs: dict[str, Shape], image: Shape
) -> LayerShapes:
    rule = RULES.get(layer.type)
    if rule is None:
        raise TinynetError(f"layer {layer.name}: the shape of a '{layer.type}' layer is not known")
    for bottom in layer.bottom:
        if bottom not in blobs:
            raise TinynetError(f"layer {layer.name}: no blob '{bottom}' before it")
    try:
        result = rule(layer, [blobs[bottom] for bottom in layer.bottom], image)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise TinynetError(f"layer {layer.name} ({layer.type}): {error}") from error
    if any(size < 0 for shape in result.tops for size in shape):
        raise TinynetError(f"layer {layer.name} ({layer.type}): the bottom is too small")
    return LayerShapes(
        layer.name,
        layer.type,
        tuple(zip(layer.top, result.tops)),
        tuple(result.parameters),
        result.multiply_adds,
    )


def _already_counted(
    layer: schema.LayerParameter, shapes: LayerShapes, shared: dict[str, Shape]
) -> int:
    """The number of values in parameters that an earlier one of the same name owns."""
    counted = 0
    for spec, shape in zip(layer.param, shapes.parameters):
        if spec.name and spec.name in shared:
            counted += prod(shape)
        elif spec.name:
            shared[spec.name] = shape
    return counted
