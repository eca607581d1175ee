"""SGD with momentum, and the pipeline that the other update rules share.

For the gradient g of a parameter W, in this order (src/caffe/solvers/sgd_solver.cpp):

    clip         g ← g · clip / ‖g‖₂  if the norm over all parameters exceeds clip_gradients
    normalize    g ← g / iter_size
    regularize   g ← g + weight_decay · decay_mult · W        (L2; for L1, of sign(W))
    update       V ← momentum · V + lr · lr_mult · g;  W ← W − V

Unlike in torch.optim.SGD, the learning rate is inside the history V: the two differ whenever the
rate changes.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.solver import Solver, register


@register("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum; base of the solvers with other update rules."""

    def prepare(self) -> None:
        self._history = [torch.zeros_like(blob.tensor) for blob in self.net.learnable_params]

    @property
    def history(self) -> list[torch.Tensor]:
        return self._history

    @torch.no_grad()
    def apply_update(self) -> None:
        rate = self.lr
        if self.parameters.display and self.iter % self.parameters.display == 0:
            glog.info(f"Iteration {self.iter}, lr = {glog.number(rate)}")
        self._clip_gradients()
        self.update_weights(rate)
        self._iter += 1

    def update_weights(self, rate: float) -> None:
        """Update the weights from the diffs, which then hold the step that was taken."""
        for index, blob in enumerate(self.net.learnable_params):
            if self.parameters.iter_size != 1:
                blob.grad.mul_(1.0 / self.parameters.iter_size)
            self._regularize(index, blob)
            self.compute_update(index, blob.grad, rate * self.net.params_lr[index])
            blob.tensor.sub_(blob.grad)

    def compute_update(self, index: int, grad: torch.Tensor, rate: float) -> None:
        """Turn ``grad``, the regularized gradient of parameter ``index``, into its step, in place.

        The step is what is subtracted from the weights; as in Caffe, the diff then holds it.
        ``rate`` is the learning rate times the parameter's lr_mult.
        """
        history = self._history[index].mul_(self.parameters.momentum).add_(grad, alpha=rate)
        grad.copy_(history)

    def _clip_gradients(self) -> None:
        limit = self.parameters.clip_gradients
        if limit < 0:
            return
        squares = [blob.grad.square().sum() for blob in self.net.learnable_params]
        norm = float(torch.stack(squares).sum().sqrt())
        if norm > limit:
            scale = limit / norm
            glog.info(
                f"Gradient clipping: scaling down gradients (L2 norm {glog.number(norm)} > "
                f"{glog.number(limit)}) by scale factor {glog.number(scale)}",
            )
            for blob in self.net.learnable_params:
                blob.grad.mul_(scale)

    def _regularize(self, index: int, blob: Blob) -> None:
        decay = self.parameters.weight_decay * self.net.params_decay[index]
        if not decay:
            return
        kind = self.parameters.regularization_type
        if kind == "L2":
            blob.grad.add_(blob.tensor, alpha=decay)
        elif kind == "L1":
            blob.grad.add_(blob.tensor.sign(), alpha=decay)
        else:
            raise CaffeError(f"unknown regularization_type '{kind}'; the types are L1 and L2")
