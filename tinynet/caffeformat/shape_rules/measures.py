"""Shape rules of losses and measures."""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.caffeformat.shape_rules.rule import Result, Shape, canonical, rule


@rule(
    *("SoftmaxWithLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "ContrastiveLoss"),
    *("MultinomialLogisticLoss", "SigmoidCrossEntropyLoss"),
)
def loss(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([(), bottoms[0]][: max(1, len(layer.top))])


@rule("Accuracy")
def accuracy(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    classes = bottoms[0][canonical(layer.accuracy_param.axis, bottoms[0])]
    return Result([(), (classes,)][: max(1, len(layer.top))])


@rule("ArgMax")
def argmax(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.argmax_param
    if p.HasField("axis"):
        axis = canonical(p.axis, bottoms[0])
        return Result([(*bottoms[0][:axis], p.top_k, *bottoms[0][axis + 1 :])])
    trailing = (1,) * max(0, len(bottoms[0]) - 3)
    return Result([(bottoms[0][0], 2 if p.out_max_val else 1, p.top_k, *trailing)])


@rule("Silence", "HDF5Output")
def silence(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([])
