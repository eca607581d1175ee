"""Finds the layer of a net that computes the scores of its classes."""

from __future__ import annotations

from tinynet.caffeformat import phases, schema


def score_layer(net: schema.NetParameter) -> schema.LayerParameter | None:
    """The InnerProduct layer whose top is the input of a softmax loss; None if there is none.

    Its ``num_output`` is the net's number of classes.
    """
    layers = phases.layers_of(net, schema.TRAIN)
    for loss in layers:
        if loss.type == "SoftmaxWithLoss" and loss.bottom:
            for layer in layers:
                if layer.type == "InnerProduct" and loss.bottom[0] in layer.top:
                    return layer
    return None
