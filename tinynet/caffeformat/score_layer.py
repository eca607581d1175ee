"""Which layer of a net makes the scores of its classes."""

from __future__ import annotations

from tinynet.caffeformat import phases, schema


def score_layer(net: schema.NetParameter) -> schema.LayerParameter | None:
    """The InnerProduct layer whose top a softmax loss is computed from; None where none is.

    Its ``num_output`` is the number of classes that the net tells apart.
    """
    layers = phases.layers_of(net, schema.TRAIN)
    for loss in layers:
        if loss.type == "SoftmaxWithLoss" and loss.bottom:
            for layer in layers:
                if layer.type == "InnerProduct" and loss.bottom[0] in layer.top:
                    return layer
    return None
