"""A max pooling and the ReLU under it, in the other order, where nobody can tell.

After the pooling a ReLU has, for windows of 2×2, a quarter of the elements to go over.

Forward, max(0, x) rises with x, so that pooling first takes the same values.  (With a slope for
negative values it does too, but two of them may round to one, and then another is the first to be
the largest.  And a window of padding alone has no value to which the ReLU would apply.)  The blob
below the pooling then lacks its ReLU: that is made up for when somebody looks.  Where a window has
no positive value another of its zeros may be taken; the ReLU hands no diff down to any of them.

Backward, a ReLU multiplies each diff by 1 or by its slope, as its output is positive or not; a max
pooling hands each diff to the one output that it took.  So the ReLU may as well come first, on the
pooling's own top.  Where windows do not overlap, no diffs are added up, and the result is the same
to the bit.

In between, Caffe's blobs hold other values for a moment: only who calls layer by layer, or looks on
by callbacks, could see it, and for them the net keeps Caffe's order.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.layer_types.relu import ReLU


class Exchange:
    """Runs the pairs of a net's layers that can change places; the net runs the others."""

    def __init__(self, graph: NetGraph) -> None:
        self._graph = graph
        self._changed_in_place = [
            top
            for bottoms, tops in zip(graph.bottoms, graph.tops)
            for top in tops
            if any(top is bottom for bottom in bottoms)
        ]
        pairs = [i for i in range(len(graph.layers) - 1) if _is_pair(graph, i)]
        #: of each pair the index of its first layer, the ReLU
        self.pairs_backward = frozenset(i for i in pairs if self._can_change_backward(i))
        self.pairs_forward = frozenset(
            i
            for i in pairs
            if _pair(graph, i)[0].slope == 0
            and (i in self.pairs_backward or not graph.layer_need_backward[i])
        )

    def forward(self, i: int) -> bool:
        """Run layers ``i``, a ReLU, and ``i + 1`` forward; False where they keep their order."""
        graph = self._graph
        if i not in self.pairs_forward or graph.bottoms[i][0].data_is_watched:
            return False
        below, top = graph.bottoms[i], graph.tops[i + 1]
        relu, pool = _pair(graph, i)
        relu.reshape(below, below)
        pool.reshape(below, top)
        if not pool.has_no_empty_window:
            return False
        pool.forward(below, top)
        relu.forward(top, top)

        def make_up(values: torch.Tensor) -> None:
            relu.rectify(values)
            pool.take(values)

        below[0].change_when_seen(make_up)
        return True

    def keep_order(self, i: int) -> None:
        """Before layer ``i + 1`` runs backward alone: let it have taken what it takes in order."""
        if i in self.pairs_forward:
            _ = self._graph.bottoms[i][0].computed

    def backward(self, i: int) -> bool:
        """Run layers ``i + 1``, a pooling, and ``i`` backward; False where they keep their order.

        They keep it where a script, or a layer that works in place, could have changed the values
        by which a ReLU decides, and where a script holds the diff in between.
        """
        graph = self._graph
        if i not in self.pairs_backward or not self._top_stays(i):
            return False
        below, top = graph.bottoms[i], graph.tops[i + 1]
        if below[0].data_is_watched or top[0].data_is_watched or top[0].diff_is_watched:
            return False
        relu, pool = _pair(graph, i)
        above = top[0].computed_diff
        relu.backward(top, [True], top)
        pool.backward(top, [True], below)
        top[0].set_diff(above)
        return True

    def _can_change_backward(self, i: int) -> bool:
        graph = self._graph
        return self._top_stays(i) and all(
            graph.layer_need_backward[j] and graph.bottom_need_backward[j][0] for j in (i, i + 1)
        )

    def _top_stays(self, i: int) -> bool:
        """Whether no layer works in place on the top of the pooling ``i + 1``, or on its memory.

        Flatten shares that from its first forward on, so that this has to be asked again.
        """
        top = self._graph.tops[i + 1][0]
        return not any(top.shares_data_with(other) for other in self._changed_in_place)


def _pair(graph: NetGraph, i: int) -> tuple[ReLU, Pooling]:
    relu, pool = graph.layers[i], graph.layers[i + 1]
    assert isinstance(relu, ReLU) and isinstance(pool, Pooling)
    return relu, pool


def _is_pair(graph: NetGraph, i: int) -> bool:
    """Whether layer ``i`` is a ReLU in place, and ``i + 1`` a max pooling of what it leaves."""
    relu, pool = graph.layers[i], graph.layers[i + 1]
    if not (isinstance(relu, ReLU) and isinstance(pool, Pooling)):
        return False
    blob = graph.bottoms[i + 1][0]
    in_place = graph.tops[i][0] is blob and graph.bottoms[i][0] is blob
    no_loss = not any(relu.loss_weights) and not any(pool.loss_weights)
    return pool.takes_one_of_each_window and in_place and no_loss
