"""Backward through a max pooling and the ReLU under it, in the other order.

A ReLU multiplies each diff by 1 or by its slope, as its output is positive or not; a max pooling
hands each diff to the one output that it took.  So the ReLU may as well come first, on the
pooling's own top, which for windows of 2×2 has a quarter of the elements.  Where windows do not
overlap, no diffs are added up, and the result is the same to the bit.

In between, Caffe's blobs hold other diffs for a moment: only who calls layer by layer, or looks on
by callbacks, could see it, and for them the net keeps Caffe's order.
"""

from __future__ import annotations

from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.layer_types.relu import ReLU
from tinynet.torchcaffe.net_builder import NetGraph


def pools_over_relus(graph: NetGraph) -> frozenset[int]:
    """The layers that are poolings with a ReLU right before them with which they can change."""
    return frozenset(i for i in range(1, len(graph.layers)) if _can_change(graph, i))


def _can_change(graph: NetGraph, i: int) -> bool:
    pool, relu = graph.layers[i], graph.layers[i - 1]
    if not (isinstance(pool, Pooling) and isinstance(relu, ReLU)):
        return False
    blob, top = graph.bottoms[i][0], graph.tops[i][0]
    in_place = graph.tops[i - 1][0] is blob and graph.bottoms[i - 1][0] is blob
    # a later layer that works in place leaves other values in the pooling's top
    stays = not any(top is other for tops in graph.tops[i + 1 :] for other in tops)
    backward = all(
        graph.layer_need_backward[j] and graph.bottom_need_backward[j][0] for j in (i, i - 1)
    )
    return pool.takes_one_of_each_window and in_place and stays and backward


def backward(graph: NetGraph, i: int) -> bool:
    """Run layers ``i``, a pooling, and ``i − 1`` backward; False where a script would notice."""
    top = graph.tops[i]
    if top[0].diff_is_watched:
        return False
    above = top[0].computed_diff
    graph.layers[i - 1].backward(top, [True], top)
    graph.layers[i].backward(top, [True], graph.bottoms[i])
    top[0].set_diff(above)
    return True
