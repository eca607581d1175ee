"""Adam (src/caffe/solvers/adam_solver.cpp), with β₁ = momentum, β₂ = momentum2, t = iter + 1.

    M ← β₁ · M + (1 − β₁) · g
    V ← β₂ · V + (1 − β₂) · g²
    W ← W − rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · M / (√V + delta)

Unlike in torch.optim.Adam, delta is added to the uncorrected √V.  A .solverstate stores M of every
parameter, then V of every parameter.
"""

from __future__ import annotations

import numpy as np
import torch

from tinynet.torchcaffe.solver import register
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@register("Adam")
class AdamSolver(SGDSolver):
    def prepare(self) -> None:
        super().prepare()
        self._history += [torch.zeros_like(mean) for mean in self._history]

    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        beta1, beta2, t = self.parameters.momentum, self.parameters.momentum2, self.iter + 1
        mean = self._history[index].mul_(beta1).add_(grad, alpha=1 - beta1)
        square = self._history[len(self.net.learnable_params) + index]
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        with np.errstate(all="ignore"):  # NaN or infinite where a β is outside of 0 … 1
            correction = np.sqrt(1 - np.float64(beta2) ** t) / (1 - np.float64(beta1) ** t)
        torch.div(mean, square.sqrt().add_(self.parameters.delta), out=grad)
        grad.mul_(float(rate * correction))
