"""Shape rules of the layers whose tops have the shape of the bottom (MVN's: as four axes)."""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.caffeformat.shape_rules.rule import Result, Shape, canonical, rule


@rule(
    *("AbsVal", "BNLL", "Clip", "Dropout", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid"),
    *("Swish", "TanH", "Threshold", "LRN", "Softmax", "Split", "Eltwise"),
)
def same(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]] * len(layer.top))


@rule("MVN")
def mvn(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    if len(bottoms[0]) > 4:
        raise ValueError(f"a blob of more than 4 axes: {bottoms[0]}")
    return Result([(*bottoms[0], 1, 1, 1, 1)[:4]])


@rule("PReLU")
def prelu(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]], [() if layer.prelu_param.channel_shared else (bottoms[0][1],)])


@rule("BatchNorm")
def batch_norm(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    channels = bottoms[0][1] if len(bottoms[0]) > 1 else 1
    return Result([bottoms[0]], [(channels,), (channels,), (1,)])


@rule("Scale", "Bias")
def scale(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.scale_param if layer.type == "Scale" else layer.bias_param
    parameters: list[Shape] = []
    operand = bottoms[1] if len(bottoms) > 1 else None
    if operand is None:
        axis = canonical(p.axis, bottoms[0])
        operand = bottoms[0][axis:] if p.num_axes == -1 else bottoms[0][axis : axis + p.num_axes]
        parameters.append(operand)
    if layer.type == "Scale" and layer.scale_param.bias_term:
        parameters.append(operand)
    return Result([bottoms[0]], parameters)
