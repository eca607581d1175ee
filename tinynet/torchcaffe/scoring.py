"""Scoring a solver's test nets with its current weights (Solver::TestAll and Test, solver.cpp)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.snapshots import layer_states


class TestedSolver(Protocol):
    """What ``Scoring`` needs of a solver."""

    @property
    def iter(self) -> int: ...

    @property
    def parameters(self) -> schema.SolverParameter: ...

    @property
    def net(self) -> Net: ...

    @property
    def test_nets(self) -> Sequence[Net]: ...

    def test_pass(self, net: Net) -> torch.Tensor: ...


class Scoring:
    """The tests of one solver, each over its net's ``test_iter`` batches."""

    def __init__(self, solver: TestedSolver, stops: Callable[[], bool]) -> None:
        """``stops`` is called before each batch; if it returns True, the test ends."""
        self._solver, self._stops = solver, stops
        self._before: list[dict[str, Any]] | None = None  # during a test: the states before it

    def all(self) -> bool:
        """Score every test net; return False if stopped, which leaves the nets as before."""
        self._before = self.states()
        nets = range(len(self._solver.test_nets))
        whole = all(self._score(index) for index in nets)
        if not whole:
            # a resumed run repeats the whole test before this iteration
            for net, states in zip(self._solver.test_nets, self._before):
                layer_states.restore(net, states, "the test net")
        self._before = None
        return whole

    def states(self) -> list[dict[str, Any]]:
        """The layer states of each test net; during a test, the states from before it."""
        if self._before is not None:
            return self._before
        return [layer_states.of(net) for net in self._solver.test_nets]

    def _score(self, index: int) -> bool:
        """Score test net number ``index``; return False if stopped."""
        solver = self._solver
        glog.info(f"Iteration {solver.iter}, Testing net (#{index})")
        net = solver.test_nets[index]
        net.share_with(solver.net)
        outputs = net.output_blobs
        batches = solver.parameters.test_iter[index]
        sums: list[torch.Tensor] = []
        loss = torch.zeros(())
        for batch in range(batches):
            if self._stops():
                glog.info("Test interrupted.")
                return False
            passed = solver.test_pass(net)
            scores = [blob.tensor for _, blob, _ in outputs]
            if not batch:
                loss, sums = passed, [score.clone() for score in scores]
                continue
            loss = loss + passed
            if sums:
                torch._foreach_add_(sums, scores)
        if solver.parameters.test_compute_loss:
            glog.info(f"Test loss: {glog.number(float(loss / batches))}")
        number = 0
        for (name, _, weight), total in zip(outputs, sums):
            for value in (total / batches).reshape(-1).tolist():
                glog.info(output_line("Test", number, name, value, weight))
                number += 1
        return True


def output_line(phase: str, index: int, name: str, value: float, weight: float) -> str:
    """The log line of one value of a net's outputs; ``phase`` is Train or Test."""
    return f"    {phase} net output #{index}: {scored(name, value, weight)}"


def scored(name: str, value: float, weight: float) -> str:
    """A named value and, if its loss ``weight`` is not 0, what it adds to the loss."""
    line = f"{name} = {glog.number(value)}"
    if weight:
        line += f" (* {glog.number(weight)} = {glog.number(weight * value)} loss)"
    return line
