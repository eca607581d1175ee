"""debug_info: mean absolute values of every top, parameter and diff, in the log.

The lines are those of ``Net::ForwardDebugInfo``, ``BackwardDebugInfo`` and ``Backward``
(src/caffe/net.cpp).
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.graph.net_graph import NetGraph


def _mean(values: torch.Tensor) -> str:
    count = values.numel()
    return glog.number(float(values.abs().sum()) / count if count else float("nan"))


class DebugInfo:
    """Logs a net's values while ``enabled``; called after each layer's forward and backward."""

    def __init__(self, graph: NetGraph) -> None:
        self.enabled = True
        self._graph = graph

    def forward(self, index: int) -> None:
        """Log the tops and parameters of layer ``index``."""
        if not self.enabled:
            return
        graph = self._graph
        layer = graph.layers[index]
        head = f"    [Forward] Layer {layer.name}"
        for blob_id, blob in zip(graph.top_ids[index], graph.tops[index]):
            name = graph.blob_names[blob_id]
            glog.info(f"{head}, top blob {name} data: {_mean(blob.tensor)}")
        specs = layer.param.param
        for j, blob in enumerate(layer.blobs):
            name = (j < len(specs) and specs[j].name) or str(j)
            glog.info(f"{head}, param blob {name} data: {_mean(blob.tensor)}")

    def backward(self, index: int) -> None:
        """Log the diffs that layer ``index`` has computed."""
        graph = self._graph
        if not self.enabled or not graph.layer_need_backward[index]:
            return
        layer = graph.layers[index]
        head = f"    [Backward] Layer {layer.name}"
        for j, blob in enumerate(graph.bottoms[index]):
            if graph.bottom_need_backward[index][j]:
                name = graph.blob_names[graph.bottom_ids[index][j]]
                glog.info(f"{head}, bottom blob {name} diff: {_mean(blob.grad)}")
        for j, blob in enumerate(layer.blobs):
            if layer.param_propagate_down[j]:
                glog.info(f"{head}, param blob {j} diff: {_mean(blob.grad)}")

    def all_params(self) -> None:
        """Log the norms of all parameters and of their diffs, after a whole backward pass."""
        if not self.enabled:
            return
        params = self._graph.learnable_params
        norms = []
        for order in (1, 2):
            for tensors in ([b.tensor for b in params], [b.grad for b in params]):
                total = sum(float(t.abs().pow(order).sum()) for t in tensors)
                norms.append(glog.number(total ** (1 / order)))
        glog.error(
            f"    [Backward] All net params (data, diff): L1 norm = ({norms[0]}, {norms[1]}); "
            f"L2 norm = ({norms[2]}, {norms[3]})",
        )
