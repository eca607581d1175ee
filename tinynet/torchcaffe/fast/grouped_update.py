"""SGD on a GPU: the parameters that share lr_mult and decay_mult are updated together.

A GPU does each of these operations sooner than the host can ask for the next one: together they are
asked for once for a group, instead of once for every parameter.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.acceleration import stands_in_for
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@stands_in_for(SGDSolver)
class GroupedSGDSolver(SGDSolver):
    def update_weights(self, rate: float) -> None:
        params = self.net.learnable_params
        on_gpu = bool(params) and params[0].tensor.device.type != "cpu"
        if on_gpu and self.parameters.regularization_type == "L2":
            self.update_groups(rate)
        else:
            super().update_weights(rate)

    def update_groups(self, rate: float) -> None:
        """What ``SGDSolver.update_weights`` does, to the bit."""
        groups: dict[tuple[float, float], list[int]] = {}
        for index, multipliers in enumerate(zip(self.net.params_lr, self.net.params_decay)):
            groups.setdefault(multipliers, []).append(index)
        for (lr_mult, decay_mult), indexes in groups.items():
            blobs = [self.net.learnable_params[index] for index in indexes]
            weights, grads = [blob.tensor for blob in blobs], [blob.grad for blob in blobs]
            history = [self.history[index] for index in indexes]
            if self.parameters.iter_size != 1:
                torch._foreach_mul_(grads, 1.0 / self.parameters.iter_size)
            decay = self.parameters.weight_decay * decay_mult
            if decay:
                torch._foreach_add_(grads, weights, alpha=decay)
            torch._foreach_mul_(history, self.parameters.momentum)
            torch._foreach_add_(history, grads, alpha=rate * lr_mult)
            torch._foreach_zero_(grads)
            torch._foreach_add_(grads, history)
            torch._foreach_sub_(weights, history)
