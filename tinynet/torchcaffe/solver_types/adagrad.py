"""AdaGrad: steps shrink with the sum of squared gradients (src/caffe/solvers/adagrad_solver.cpp).

H ← H + g²
W ← W − rate · g / (√H + delta)
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.solver import register
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@register("AdaGrad")
class AdaGradSolver(SGDSolver):
    def prepare(self) -> None:
        check(
            self.parameters.momentum == 0,
            f"momentum cannot be used with AdaGrad; got {self.parameters.momentum}",
        )
        super().prepare()

    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        history = self._history[index].addcmul_(grad, grad)
        grad.div_(history.sqrt().add_(self.parameters.delta)).mul_(rate)
