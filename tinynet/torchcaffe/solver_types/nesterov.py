"""Nesterov: SGD that looks ahead along its momentum (src/caffe/solvers/nesterov_solver.cpp).

V' ← momentum · V + rate · g
W  ← W − ((1 + momentum) · V' − momentum · V)
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.solver import register
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@register("Nesterov")
class NesterovSolver(SGDSolver):
    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        momentum, history = self.parameters.momentum, self._history[index]
        step_back = history * -momentum
        history.mul_(momentum).add_(grad, alpha=rate)
        grad.copy_(step_back.add_(history, alpha=1 + momentum))
