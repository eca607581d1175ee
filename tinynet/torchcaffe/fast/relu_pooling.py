"""A ReLU in place and the max pooling above it, as one layer of the schedule.

Backward, a ReLU multiplies each diff by 1 or by its slope, as its output is positive or not; a max
pooling hands each diff to the one output that it took.  So the ReLU may as well come first, on the
pooling's own top, which has a quarter of the elements for windows of 2×2.  Where windows do not
overlap, no diffs are added up, and the result is the same to the bit.

In between, the diff of the pooling's top holds other values for a moment: only who looks on by
callbacks could see it, and for them the net runs each layer by itself.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.acceleration import rewrites_schedule
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.graph.schedule import Step
from tinynet.torchcaffe.layer import Blobs, Layer
from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.layer_types.relu import ReLU


class ReLUPooling(Layer):
    """The bottom is the ReLU's (and its top), the top is the pooling's."""

    type = "ReLU and Pooling"

    def __init__(self, relu: Layer, pool: Layer) -> None:
        super().__init__(pool.param, pool.phase)
        self._relu, self._pool = relu, pool
        self._seen: list[_Values] = []

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        self._relu.reshape(bottom, bottom)
        self._pool.reshape(bottom, top)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self._relu.forward(bottom, bottom)
        self._pool.forward(bottom, top)
        self._seen = [_Values(bottom[0]), _Values(top[0])]

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if top[0].diff_is_watched or any(values.may_differ() for values in self._seen):
            self._pool.backward(top, propagate_down, bottom)
            self._relu.backward(bottom, propagate_down, bottom)
            return
        above = top[0].computed_diff
        self._relu.backward(top, propagate_down, top)
        self._pool.backward(top, propagate_down, bottom)
        top[0].set_diff(above)


class _Values:
    """The data of a blob as forward left it, by which a ReLU decides backward."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._tensor = blob, blob.computed
        self._version = self._tensor._version

    def may_differ(self) -> bool:
        """Whether a script, or a layer that works in place, may have changed them since."""
        now: torch.Tensor = self._blob.computed
        return (
            self._blob.data_is_watched
            or now.data_ptr() != self._tensor.data_ptr()
            or now._version != self._version
        )


@rewrites_schedule
def fuse(steps: list[Step]) -> list[Step]:
    """Each ReLU and the pooling above it become one step, where the two go backward."""
    fused: list[Step] = []
    for step in steps:
        if fused and _is_pair(fused[-1], step):
            relu = fused.pop()
            step = relu._replace(layer=ReLUPooling(relu.layer, step.layer), top=step.top)
        fused.append(step)
    return fused


def _is_pair(relu: Step, pool: Step) -> bool:
    """Whether these are a ReLU in place, and a max pooling, window beside window, of what it left.

    Both go backward, and neither top is a loss.
    """
    return (
        isinstance(relu.layer, ReLU)
        and isinstance(pool.layer, Pooling)
        and relu.top[0] is relu.bottom[0]
        and pool.bottom[0] is relu.top[0]
        and _takes_one_of_each_window(pool.layer)
        and not any((*relu.layer.loss_weights, *pool.layer.loss_weights))
        and all(step.needs_backward and step.propagate_down[0] for step in (relu, pool))
    )


def _takes_one_of_each_window(pool: Pooling) -> bool:
    """Whether this is MAX without a mask, over windows that do not overlap."""
    apart = all(kernel <= stride for kernel, stride in zip(pool.kernel, pool.stride))
    is_max = pool.method == schema.PoolingParameter.MAX
    return is_max and apart and not pool.global_pooling and len(pool.param.top) == 1
