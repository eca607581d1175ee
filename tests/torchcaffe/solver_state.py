"""Everything that iterations of a solver change, for bitwise comparison with another's."""

from __future__ import annotations

from typing import Any

import torch

from tinynet.torchcaffe.fast import graphs


def changed_tensors(solver: Any) -> list[torch.Tensor]:
    """Return everything that an iteration changes."""
    net = solver.net
    found = [blob.tensor for blob in net.learnable_params] + [*solver.history]
    found += [blob.grad for blob in net.learnable_params]
    found += [net.blobs[name].tensor for name in net.blobs] + [*solver.loss_window]
    return [tensor.clone().contiguous() for tensor in found]


def assert_equal(one: Any, other: Any) -> None:
    assert graphs.same_bits(changed_tensors(one), changed_tensors(other))
    for a, b in zip((one.net, *one.test_nets), (other.net, *other.test_nets)):
        assert [x.state() for x in a.graph.layers] == [x.state() for x in b.graph.layers]
