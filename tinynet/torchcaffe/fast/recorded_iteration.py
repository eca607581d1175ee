"""A training iteration that a GPU records once and then repeats (recorded_passes.py).

There are two recordings.  One has the forward and backward passes of an iteration, with the cutting
and mirroring of images and dropout's masks; the other has the update of the weights.  The learning
rate is a constant of the recorded update, since a rate in memory would round differently from SGD.
When the rate changes, the update is done plainly, and recorded again once two successive rates are
the same.  Reading records, display, gradient clipping, tests and snapshots are not recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import first_line
from tinynet.torchcaffe.fast.recorded_passes import RecordedPasses, parameters_of
from tinynet.torchcaffe.solver_types.sgd import SGDSolver

_COMPARED = 2  # iterations that are done both ways
# each lr_policy by which the rate changes at every iteration (learning_rate.py)
_ALWAYS_CHANGING = ("exp", "inv", "poly", "sigmoid")


class RecordedIteration(RecordedPasses):
    """The recordings of one solver's iteration."""

    what = "Iterations"

    def __init__(
        self, solver: SGDSolver, update: Callable[[float], None], device: torch.device
    ) -> None:
        """``update``: a function that updates the weights from their diffs, at a given rate."""
        super().__init__(solver.net, device)
        self._solver, self._update = solver, update
        self._rate: float | None = None  # of the last update
        self._update_key: Any = None
        self._repeat_update: Callable[[], object] | None = None

    def update(self, rate: float) -> bool:
        """Repeat the update at ``rate``; return False if the solver must do it itself."""
        previous, self._rate = self._rate, rate
        if not self.repeated:
            return False
        key = self._key_of_update(rate)
        if key != self._update_key:
            if rate != previous:
                return False
            try:
                self._record_update(rate)
            except Exception as error:
                self.give_up(f"torch cannot record the update ({first_line(error)})")
                return False
        assert self._repeat_update is not None
        self._repeat_update()
        return True

    # --- what is recorded

    def batches(self) -> int:
        return self._solver.parameters.iter_size

    def why_not(self) -> str:
        if CONTEXT.solver_count > 1:
            return "several solvers train together"
        if self._solver.has_callbacks:
            return "it has callbacks or debug_info"
        return super().why_not()

    def give_up(self, reason: str) -> None:
        super().give_up(reason)
        self._forget_update()

    def _forget_update(self) -> None:
        # its key holds the recorded passes, and with them their memory
        self._repeat_update = self._update_key = None

    def key(self) -> Any:
        graph = self.net.graph
        return (
            super().key(),
            self._solver.parameters.iter_size,
            [[*layer.param_propagate_down] for layer in graph.layers],
            [*graph.layer_need_backward],
            [[*row] for row in graph.bottom_need_backward],
        )

    def left_out(self) -> str:
        policy = self._solver.parameters.lr_policy
        if policy not in _ALWAYS_CHANGING:
            return ""
        return f"; but not the updates, whose rate changes each time (lr_policy '{policy}')"

    def is_ready(self) -> bool:
        return self._rate is not None

    def work(self) -> None:
        self.use_batches()
        self.net.clear_param_diffs()
        self.loss = self._solver.plain_passes()

    def compare(self) -> bool:
        solver, rate = self._solver, self._rate
        assert rate is not None
        self._forget_update()
        weights = [blob.tensor for blob in parameters_of(self.net)]
        state = [*weights, *solver.history]
        saved = [tensor.clone() for tensor in state]
        drawn = self.graphs.random_state()

        def back() -> None:
            torch._foreach_copy_(state, saved)
            self.graphs.set_random_state(drawn)

        def left() -> list[torch.Tensor]:
            assert self.loss is not None
            grads = [blob.grad for blob in self.net.learnable_params]
            values = [tensor.clone() for tensor in (*state, *grads, self.loss)]
            return [*values, self.graphs.random_state()]

        def plainly() -> None:
            for _ in range(_COMPARED):
                self.work()
                self._update(rate)

        same = False
        try:
            self.graphs.warm_up(plainly)
            expected = left()
            back()
            repeat = self.recorded_work()
            self._record_update(rate)
            back()
            for _ in range(_COMPARED):
                repeat()
                self.show_results()
                assert self._repeat_update is not None
                self._repeat_update()
            same = self.graphs.same(left(), expected)
        finally:
            back()
            if not same:
                self.net.clear_param_diffs()  # again: the solver's own passes add to them
        return same

    # --- the update

    def _key_of_update(self, rate: float) -> Any:
        """What the update depends on besides the memory that the repeated passes use."""
        solver, param = self._solver, self._solver.parameters
        return (
            rate,
            self.repeat,
            param.iter_size,
            param.momentum,
            param.weight_decay,
            [*self.net.params_lr],
            [*self.net.params_decay],
            [tensor.data_ptr() for tensor in solver.history],
        )

    def _record_update(self, rate: float) -> None:
        self._repeat_update = self.graphs.record(lambda: self._update(rate))
        self._update_key = self._key_of_update(rate)
