"""A complete model and its solver state, in a few bytes."""

from __future__ import annotations

from tinynet.caffeformat import schema


def small_net() -> bytes:
    net = schema.NetParameter(name="net")
    for name in ("a", "b"):
        blob = net.layer.add(name=name, type="InnerProduct").blobs.add()
        blob.shape.dim.extend([2, 3])
        blob.data.extend([1.0] * 6)
    return net.SerializeToString()


def small_state() -> bytes:
    state = schema.SolverState(iter=10, learned_net="x_iter_10.caffemodel", current_step=0)
    state.history.add().data.extend([1.0] * 6)
    state.history.add().data.extend([1.0] * 6)
    return state.SerializeToString()
