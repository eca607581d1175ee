"""SGD on a GPU: the parameters that share lr_mult and decay_mult are updated together.

A GPU finishes each of these small operations before the host has launched the next one.  So each is
launched once per group instead of once per parameter.
"""

from __future__ import annotations

from collections import defaultdict

import torch

from tinynet.torchcaffe.acceleration import stands_in_for
from tinynet.torchcaffe.fast import graphs, recorded_passes
from tinynet.torchcaffe.fast.recorded_evaluation import RecordedTest
from tinynet.torchcaffe.fast.recorded_iteration import RecordedIteration
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.solver_types.sgd import SGDSolver


@stands_in_for(SGDSolver)
class GroupedSGDSolver(SGDSolver):
    recorded: RecordedIteration | None = None

    def prepare(self) -> None:
        super().prepare()
        params = self.net.learnable_params
        device = params[0].tensor.device if params else torch.device("cpu")
        self._grouped = device.type in graphs.BY_DEVICE
        self._recorded_tests: dict[Net, RecordedTest] = {}
        if self._grouped and recorded_passes.enabled():
            self.recorded = RecordedIteration(self, self.update_groups, device)
            self._recorded_tests = {net: RecordedTest(net, device) for net in self.test_nets}

    def passes(self) -> torch.Tensor | None:
        loss = None
        if self.recorded and self.parameters.regularization_type == "L2":
            loss = self.recorded.passes()
        return super().passes() if loss is None else loss

    def test_pass(self, net: Net) -> torch.Tensor:
        loss = self._recorded_tests[net].passes() if net in self._recorded_tests else None
        return super().test_pass(net) if loss is None else loss

    def update_weights(self, rate: float) -> None:
        if not self._grouped or self.parameters.regularization_type != "L2":
            super().update_weights(rate)
        elif not (self.recorded and self.recorded.update(rate)):
            self.update_groups(rate)

    def update_groups(self, rate: float) -> None:
        """Do what ``SGDSolver.update_weights`` does, to the bit."""
        parameters, params, history = self.parameters, self.net.learnable_params, self.history
        iter_size, momentum = parameters.iter_size, parameters.momentum
        weight_decay = parameters.weight_decay
        groups = defaultdict(list)
        for index, multipliers in enumerate(zip(self.net.params_lr, self.net.params_decay)):
            groups[multipliers].append(index)
        for (lr_mult, decay_mult), indexes in groups.items():
            blobs = [params[index] for index in indexes]
            weights, grads = [blob.tensor for blob in blobs], [blob.grad for blob in blobs]
            before = [history[index] for index in indexes]
            if iter_size != 1:
                torch._foreach_mul_(grads, 1.0 / iter_size)
            decay = weight_decay * decay_mult
            if decay:
                torch._foreach_add_(grads, weights, alpha=decay)
            torch._foreach_mul_(before, momentum)
            torch._foreach_add_(before, grads, alpha=rate * lr_mult)
            torch._foreach_copy_(grads, before)
            torch._foreach_sub_(weights, before)
