"""Solver: Caffe's training loop; the subclasses in ``solver_types`` define the update.

One iteration (Solver::Step, src/caffe/solver.cpp) does, in this order: clear the parameters' diffs;
test if the iteration is a multiple of ``test_interval``; run forward and backward ``iter_size``
times; display; update; snapshot if the iteration, counted after the update, is a multiple of
``snapshot``.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, Callable, Protocol, overload, runtime_checkable

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe import acceleration, glog, solver_nets, solver_param
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.display import Display
from tinynet.torchcaffe.errors import CaffeError, check
from tinynet.torchcaffe.learning_rate import learning_rate
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.scoring import Scoring
from tinynet.torchcaffe.set_once import SetOnce
from tinynet.torchcaffe.shown_parameters import ShownParameters
from tinynet.torchcaffe.signals import SolverAction
from tinynet.torchcaffe.snapshots import complete_state, layer_states, snapshot


@runtime_checkable
class SolverCallback(Protocol):
    """Both callbacks in one object, as ``add_callback`` takes them (Solver::Callback): an NCCL."""

    def on_start(self) -> None: ...

    def on_gradients_ready(self) -> None: ...


class Solver:
    """Trains ``net`` and scores ``test_nets`` as a SolverParameter specifies.

    ``param_file`` is the path of a solver prototxt, or a SolverParameter.  Raises CaffeError where
    Caffe aborts.
    """

    type: str = ""
    parameters = SetOnce[schema.SolverParameter]()  # scripts see a part of it as ``param``
    net = SetOnce[Net]()
    test_nets = SetOnce[solver_nets.NetVec]()

    def __new__(cls, *given: object, **named: object) -> Any:
        """``caffe.SGDSolver(path)`` is accelerated as ``get_solver(path)`` is."""
        return object.__new__(acceleration.stand_in(cls))

    def __init__(self, param_file: str | Path | schema.SolverParameter) -> None:
        if isinstance(param_file, (str, Path)):
            param_file = solver_param.read(param_file)
        self.parameters = param_file
        glog.info(f"Initializing solver from parameters: \n{glog.parameters(self.parameters)}")
        self._iter = 0
        self.current_step = 0
        self._callbacks: list[tuple[Callable[[], object], Callable[[], object]]] = []
        # set by extensions.make_resumable: snapshots are complete, and consecutive steps are one
        self.resumable = False
        self.together: complete_state.Gathers | None = None  # the other solvers, if there are any
        self.after_update: Callable[[], None] | None = None  # set by extensions.limit_norms
        self._next_action: Callable[[], SolverAction] = lambda: SolverAction.NONE
        self._stopping = False
        self._snapshot_asked = False
        # a resumable solver's state before the iteration, if the iteration has several passes
        self._begun: tuple[dict[str, Any], list[dict[str, Any]]] | None = None
        # Caffe divides by iter_size unchecked and continues with NaN weights
        check(
            self.parameters.iter_size >= 1,
            f"iter_size must be at least 1; got {self.parameters.iter_size}",
        )
        check(
            self.parameters.average_loss >= 1,
            f"average_loss must be at least 1; got {self.parameters.average_loss}",
        )
        self._display = Display(self.parameters.average_loss)
        self._scoring = Scoring(self, self._stops_test)
        self.rank = CONTEXT.solver_rank  # among the solvers that train together
        if self.parameters.snapshot and self.rank == 0:
            snapshot.check_writable(self)
        if self.parameters.random_seed >= 0:
            CONTEXT.seed(self.parameters.random_seed + self.rank)
        self.net = solver_nets.train_net(param_file)
        self.test_nets = solver_nets.test_nets(param_file)
        for net in (self.net, *self.test_nets):
            if net.debug_info:
                net.debug_info.enabled = self.parameters.debug_info
            elif self.parameters.debug_info:
                net.enable_debug_info()
        glog.info("Solver scaffolding done.")
        self.prepare()

    @property
    def param(self) -> ShownParameters:
        """The fields of ``parameters`` that pycaffe shows to scripts."""
        return ShownParameters(self.parameters)

    @property
    def iter(self) -> int:
        """The number of updates made so far."""
        return self._iter

    # --- for subclasses

    def prepare(self) -> None:
        """Create the update rule's history; called once the nets exist."""
        raise NotImplementedError

    def apply_update(self) -> None:
        """Update the weights from their diffs and increment the iteration."""
        raise NotImplementedError

    @property
    def history(self) -> list[torch.Tensor]:
        """The update rule's history, in the order in which a .solverstate stores it."""
        raise NotImplementedError

    # --- the loop

    @overload
    def add_callback(self, on_start: SolverCallback) -> None: ...

    @overload
    def add_callback(
        self, on_start: Callable[[], object], on_gradients_ready: Callable[[], object]
    ) -> None: ...

    def add_callback(self, on_start: Any, on_gradients_ready: Any = None) -> None:
        """Call ``on_start`` before each iteration's forward and the other before its update.

        One object with both methods, an ``NCCL``, may be given instead.  Raises TypeError for an
        object without them.
        """
        if on_gradients_ready is None:
            if not isinstance(on_start, SolverCallback):
                raise TypeError(
                    "add_callback takes on_start and on_gradients_ready, or an NCCL; got one "
                    f"{type(on_start).__name__}"
                )
            on_start, on_gradients_ready = on_start.on_start, on_start.on_gradients_ready
        self._callbacks.append((on_start, on_gradients_ready))

    def set_action_function(self, next_action: Callable[[], SolverAction]) -> None:
        """Ask ``next_action`` what to do: after each iteration, and between two passes or batches.

        These are the ``iter_size`` passes of an iteration, and the batches of a test.  Several
        solvers ask only after each iteration.
        """
        self._next_action = next_action

    def step(self, iterations: int) -> None:
        """Run ``iterations`` iterations, or fewer if the action function says STOP.

        The average over ``average_loss`` iterations starts anew, except in a resumable solver.
        Raises TypeError, as pycaffe does, if ``iterations`` is not an integer.
        """
        iterations = operator.index(iterations)
        if not self.resumable:
            self._display.losses.clear()
        self._display.begin(self.iter)
        self._stopping = False
        stop = self.iter + iterations
        while self.iter < stop:
            self._iterate()
            if self._stopping:
                break
        params = self.net.learnable_params
        is_last = self._stopping or self.iter >= self.parameters.max_iter
        if is_last and self.rank and params and params[0].tensor.device.type == "cuda":
            # this process may end now, and take its queued work with it, for which rank 0 waits
            torch.cuda.synchronize(params[0].tensor.device)

    @torch.no_grad()
    def _iterate(self) -> None:
        param = self.parameters
        self._begun = None
        if param.iter_size > 1 and self.resumable:
            self._begun = complete_state.of_training(self), self.test_net_states()
        self.net.clear_param_diffs()
        tests = param.test_interval and self.iter % param.test_interval == 0
        tests = tests and (self.iter > 0 or param.test_initialization) and self.rank == 0
        if tests and not self._scoring.all():
            return
        for on_start, _ in self._callbacks:
            on_start()
        display = self.rank == 0 and bool(param.display) and self.iter % param.display == 0
        debug_info = self.net.debug_info
        if debug_info:
            debug_info.enabled = display and param.debug_info
        loss = self.passes()
        if loss is None:
            return
        self._display.losses.append(loss)
        if display:
            self._display.show(self.iter, param.display, self.net)
        for _, on_gradients_ready in self._callbacks:
            on_gradients_ready()
        self.apply_update()
        if self.after_update:
            self.after_update()
        action = self._next_action()
        due = (
            action is SolverAction.SNAPSHOT
            or self._snapshot_asked
            or (param.snapshot and self.iter % param.snapshot == 0)
        )
        self._snapshot_asked = False
        if due and (self.rank == 0 or self.together):
            self.snapshot()
        self._stopping = action is SolverAction.STOP

    def _act_within_iteration(self) -> bool:
        """Whether to stop between two of ``iter_size`` passes, as if the iteration had not begun.

        Caffe runs all passes first.  A requested snapshot waits for the end of the iteration, as in
        Caffe.
        """
        if CONTEXT.solver_count > 1:
            return False  # the solvers agree on an action only after an iteration
        while (action := self._next_action()) is not SolverAction.NONE:
            if action is SolverAction.STOP:
                self._stopping = True
                self._resume_before_iteration()
                return True
            self._snapshot_asked = True
        return False

    def _resume_before_iteration(self) -> None:
        if self._begun is not None:
            training, tests = self._begun
            complete_state.restore_training(self, training, "the training net")
            for net, states in zip(self.test_nets, tests):
                layer_states.restore(net, states, "the test net")

    @property
    def has_callbacks(self) -> bool:
        return bool(self._callbacks)

    def passes(self) -> torch.Tensor | None:
        """Run forward and backward ``iter_size`` times; return the mean loss, 0-d.

        Returns None if the solver was told to stop between two passes.
        """
        return self.plain_passes(self._act_within_iteration)

    def plain_passes(self, stops: Callable[[], bool] = lambda: False) -> torch.Tensor | None:
        """Do what ``passes`` does, layer by layer; ``stops`` is called between two passes."""
        count, debug_info = self.parameters.iter_size, self.net.debug_info
        loss = None
        for _ in range(count):
            if loss is not None and stops():
                return None
            passed = self.net.run_forward()
            loss = passed if loss is None else loss + passed
            self.net.run_backward()
            if debug_info:
                debug_info.all_params()
        return loss if loss is None or count == 1 else loss / count

    def solve(self, resume_file: str | Path | None = None) -> None:
        """Train to ``max_iter``, then write a last snapshot unless just written, display and test.

        If the action function says STOP, write a snapshot at the iteration reached and return.
        Raises CaffeError unless the solver has rank 0; the others can only ``step``.
        """
        check(self.rank == 0, f"solve() is for the solver of rank 0, not {self.rank}: use step()")
        param = self.parameters
        glog.info(f"Solving {self.net.name}")
        glog.info(f"Learning Rate Policy: {param.lr_policy}")
        if resume_file is not None:
            glog.info(f"Restoring previous solver status from {resume_file}")
            self.restore(resume_file)
        if param.snapshot_after_train:
            snapshot.check_writable(self)
        self.step(param.max_iter - self.iter)
        if param.snapshot_after_train and (not param.snapshot or self.iter % param.snapshot):
            self.snapshot()
        if self._stopping:
            glog.info("Optimization stopped early.")
            return
        if param.display and self.iter % param.display == 0:
            self._display.losses.append(self.net.run_forward())
            loss = glog.number(self._display.smoothed_loss())
            glog.info(f"Iteration {self.iter}, loss = {loss}")
        if param.test_interval and self.iter % param.test_interval == 0:
            self.test_all()
        glog.info("Optimization Done.")

    def test_all(self) -> None:
        """Score each test net on its ``test_iter`` batches with the current weights."""
        self._scoring.all()

    def test_pass(self, net: Net) -> torch.Tensor:
        """Run a test net forward on its next batch; return the loss, 0-d."""
        return net.run_forward()

    def _stops_test(self) -> bool:
        """Whether to stop before a test batch; writes the snapshots that are requested."""
        if CONTEXT.solver_count > 1:
            return False  # the solvers agree on an action only after an iteration
        while (action := self._next_action()) is not SolverAction.NONE:
            if action is SolverAction.STOP:
                self._stopping = True
                return True
            self.snapshot()
        return False

    # --- for complete snapshots

    @property
    def loss_window(self) -> list[torch.Tensor]:
        """The losses that the next display will average, oldest first."""
        return list(self._display.losses)

    def resume_at(self, iteration: int, current_step: int) -> None:
        """Resume at a snapshot's iteration and its step of the learning rate policy."""
        self._iter, self.current_step = iteration, current_step

    def resume_losses(self, losses: list[float]) -> None:
        """Let the next ``step`` of a resumable solver average these losses with its own."""
        device = self.net.learnable_params[0].tensor.device if losses else None
        self._display.losses.clear()
        self._display.losses.extend(torch.tensor(loss, device=device) for loss in losses)

    def test_net_states(self) -> list[dict[str, Any]]:
        """The layer states of each test net; during a test, the states from before it."""
        return self._scoring.states()

    # --- the rest of pycaffe's interface

    @property
    def lr(self) -> float:
        """The learning rate of the current iteration."""
        rate, self.current_step = learning_rate(self.parameters, self.iter, self.current_step)
        return rate

    @property
    def stopped(self) -> bool:
        """Whether the action function stopped the last ``step`` or ``solve`` before max_iter."""
        return self._stopping and self.iter < self.parameters.max_iter

    def share_weights(self, net: Net) -> None:
        """Let ``net`` use this solver's weights."""
        net.share_with(self.net)

    def snapshot(self) -> None:
        """Write PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate.

        A resumable solver (``extensions.make_resumable``) writes its complete state as well.
        """
        snapshot.write(self)

    def restore(self, path: str | Path) -> None:
        """Restore iteration, weights and history from a .solverstate."""
        snapshot.restore(self, Path(path))


_TYPES: dict[str, type[Solver]] = {}


def register(type_name: str) -> Callable[[type[Solver]], type[Solver]]:
    """Class decorator: make the class the solver type ``type_name`` of prototxt files."""

    def add(solver_class: type[Solver]) -> type[Solver]:
        if type_name in _TYPES:
            raise ValueError(f"solver type {type_name} is registered already")
        solver_class.type = type_name
        _TYPES[type_name] = solver_class
        return solver_class

    return add


def get_solver(path: str | Path) -> Solver:
    """Create the solver that a solver prototxt describes (pycaffe's ``get_solver``).

    Raises CaffeError for an unknown type.
    """
    return create_solver(solver_param.read(path))


def create_solver(param: schema.SolverParameter) -> Solver:
    """Create the solver that a SolverParameter describes.

    Raises CaffeError for an unknown type.
    """
    if param.type not in _TYPES:
        raise CaffeError(f"unknown solver type '{param.type}'; known are {', '.join(_TYPES)}")
    return _TYPES[param.type](param)
