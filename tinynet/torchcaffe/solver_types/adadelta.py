"""AdaDelta: steps in the units of the weights (src/caffe/solvers/adadelta_solver.cpp).

    G ← momentum · G + (1 − momentum) · g²
    u = g · √((U + delta) / (G + delta))
    U ← momentum · U + (1 − momentum) · u²
    W ← W − rate · u

A .solverstate stores G of every parameter, then U of every parameter.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.solver import register
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@register("AdaDelta")
class AdaDeltaSolver(SGDSolver):
    def prepare(self) -> None:
        super().prepare()
        self._history += [torch.zeros_like(gradients) for gradients in self._history]

    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        momentum, delta = self.parameters.momentum, self.parameters.delta
        gradients = self._history[index]
        updates = self._history[len(self.net.learnable_params) + index]
        gradients.mul_(momentum).addcmul_(grad, grad, value=1 - momentum)
        grad.mul_((updates + delta).div_(gradients + delta).sqrt_())
        updates.mul_(momentum).addcmul_(grad, grad, value=1 - momentum)
        grad.mul_(rate)
