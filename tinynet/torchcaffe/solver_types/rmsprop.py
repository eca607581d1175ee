"""RMSProp: AdaGrad with a decaying mean of squares (src/caffe/solvers/rmsprop_solver.cpp).

H ← rms_decay · H + (1 − rms_decay) · g²
W ← W − rate · g / (√H + delta)
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.solver import register
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@register("RMSProp")
class RMSPropSolver(SGDSolver):
    def prepare(self) -> None:
        param = self.parameters
        check(param.momentum == 0, f"momentum cannot be used with RMSProp; got {param.momentum}")
        check(
            0 <= param.rms_decay < 1,
            f"rms_decay must be at least 0 and below 1; got {param.rms_decay}",
        )
        super().prepare()

    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        decay = self.parameters.rms_decay
        history = self._history[index].mul_(decay).addcmul_(grad, grad, value=1 - decay)
        grad.div_(history.sqrt().add_(self.parameters.delta)).mul_(rate)
