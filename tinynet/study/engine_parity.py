"""Runs one solver in real Caffe and in the torch engine from one seed, and compares the two.

Rounding errors grow with every update, so real Caffe itself is the yardstick: a second run of it,
with one weight nudged or on another number of threads, shows how far two right engines may differ.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import numpy as np

from tinynet.caffeformat import binary, schema
from tinynet.engine import discovery, process
from tinynet.engine.discovery import Engine
from tinynet.errors import TinynetError, UsageError
from tinynet.processor import affinity
from tinynet.run import checks, training_prototxt
from tinynet.run.paths import RunPaths
from tinynet.run.training_prototxt import TrainingPrototxt

LOSS_LIMIT = 1e-3  # relative difference of the loss above which two runs differ
DISPLACEMENT_LIMIT = 0.01  # relative L2 difference of a parameter's displacement
_NEVER = 2**31 - 1


@dataclass(frozen=True)
class ParityRequest:
    """What ``tinynet parity`` was asked for."""

    solver: Path
    iterations: int = 100
    start: Path | None = None  # a .caffemodel or a .solverstate
    nudge: float = 0.0  # of the second run of real Caffe; there is none without it or threads
    threads: int | None = None  # of that run's BLAS: it then only adds up in another order
    caffe_python: str | None = None
    gpu: int | None = None  # of the torch engine
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass
class EngineRun:
    """What one engine did.

    ``losses``, ``inputs`` (checksums): by iteration.  ``start``, ``end``: the parameters before the
    first and after the last update, by ``LAYER[INDEX]``.
    """

    label: str
    engine: Engine
    first: int = 0
    losses: list[float] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    start: dict[str, np.ndarray] = field(default_factory=dict)
    end: dict[str, np.ndarray] = field(default_factory=dict)
    nudged: str | None = None  # name of the parameter that was nudged


@dataclass(frozen=True)
class Moved:
    """How far a parameter moved in the reference, and how far apart the other run ended.

    ``difference`` is relative, in L2: ‖Δ' − Δ‖ / ‖Δ‖ with Δ = W_n − W_0.
    """

    parameter: str
    displacement: float
    difference: float


@dataclass(frozen=True)
class Comparison:
    """A run compared with the reference, which is real Caffe's."""

    run: EngineRun
    differences: list[float]  # of the loss, relative, by iteration
    moved: list[Moved]
    same_start: bool  # every parameter of the start, to the bit
    inputs_differ_from: int | None  # first iteration whose inputs differ
    losses_differ_from: int | None  # first iteration whose losses are more than LOSS_LIMIT apart

    @property
    def largest(self) -> float:
        """The largest relative difference of the loss."""
        return max(self.differences)

    @property
    def largest_at(self) -> int:
        return self.run.first + self.differences.index(self.largest)

    @property
    def worst(self) -> Moved:
        """The parameter whose displacement differs most."""
        return max(self.moved, key=lambda moved: moved.difference)

    @property
    def agrees(self) -> bool:
        """Whether losses and displacements are within the limits."""
        return self.losses_differ_from is None and self.worst.difference <= DISPLACEMENT_LIMIT


@dataclass(frozen=True)
class ParityReport:
    """Real Caffe's run, the torch engine's compared with it, and the yardstick if asked for."""

    net: str
    seed: int
    batch: int
    nudge: float
    threads: int | None
    reference: EngineRun
    torch: Comparison
    yardstick: Comparison | None

    @property
    def yardstick_differs_by(self) -> str:
        """What sets the yardstick's run apart from the reference."""
        if self.nudge:
            return f"nudged by {self.nudge:g}"
        return "1 thread" if self.threads == 1 else f"{self.threads} threads"


Tell = Callable[[str, int], None]


def compare(reference: EngineRun, other: EngineRun) -> Comparison:
    """Measure how far ``other`` is from ``reference``.

    Raises TinynetError if they are runs of different length or nets.
    """
    shapes = [{name: a.shape for name, a in run.start.items()} for run in (reference, other)]
    if shapes[0] != shapes[1] or len(reference.losses) != len(other.losses):
        raise TinynetError(f"{reference.label} and {other.label} did not run the same net")
    differences = [_relative(a, b) for a, b in zip(reference.losses, other.losses)]
    return Comparison(
        run=other,
        differences=differences,
        moved=[_moved(name, reference, other) for name in reference.start],
        same_start=all(np.array_equal(reference.start[n], other.start[n]) for n in other.start),
        inputs_differ_from=_first(
            reference, [a != b for a, b in zip(reference.inputs, other.inputs)]
        ),
        losses_differ_from=_first(reference, [not d <= LOSS_LIMIT for d in differences]),
    )


def _first(run: EngineRun, parted: Sequence[bool]) -> int | None:
    return run.first + parted.index(True) if True in parted else None


def _relative(reference: float, other: float) -> float:
    """|other − reference| / |reference|; infinite where only one of them is finite."""
    if reference == other or (math.isnan(reference) and math.isnan(other)):
        return 0.0
    difference = abs(other - reference) / abs(reference) if reference else math.inf
    return difference if math.isfinite(difference) else math.inf


def _moved(name: str, reference: EngineRun, other: EngineRun) -> Moved:
    way = reference.end[name].astype(np.float64) - reference.start[name]
    others = other.end[name].astype(np.float64) - other.start[name]
    length = float(np.linalg.norm(way))
    apart = float(np.linalg.norm(others - way))
    if apart:
        apart = apart / length if length and math.isfinite(apart) else math.inf
    return Moved(name, length, apart)


def run(request: ParityRequest, tell: Tell) -> ParityReport:
    """Run the engines at once and compare; ``tell(label, iterations)`` reports how far each is.

    Raises TinynetError if there is no real Caffe, where data or weights are missing, and where
    an engine fails; UsageError if there are fewer cores than threads asked for.
    """
    _require_cores(request.threads)
    prototxt = _prepare(request)
    checks.require_data(prototxt)
    caffe = _find_caffe(request.caffe_python)
    torch = discovery.find_torch()
    runs = [EngineRun("caffe", caffe), EngineRun("torch", torch)]
    again = bool(request.nudge) or request.threads is not None
    if again:
        runs.append(EngineRun("nudged" if request.nudge else "threads", caffe))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinynet-parity-")))
        arguments = _arguments(request, prototxt, folder)
        workers = [_Worker(made, folder, tell) for made in runs]
        processes = []
        for worker in workers:
            own = list(arguments)
            threads = None
            if worker.run.engine is torch and request.gpu is not None:
                own.append(f"--gpu={request.gpu}")
            if again and worker.run is runs[-1]:
                threads = request.threads
                own += [f"--nudge={request.nudge!r}"] if request.nudge else []
            processes.append(stack.enter_context(worker.start(own, threads)))
        pool = stack.enter_context(futures.ThreadPoolExecutor(len(runs)))
        for each in processes:
            stack.callback(each.kill)  # before the pool waits for the threads that follow them
        for end in futures.as_completed([pool.submit(each.finish) for each in processes]):
            end.result()  # the first that fails ends the others
        for worker in workers:
            worker.take_parameters()
    return ParityReport(
        net=prototxt.net_name,
        seed=prototxt.solver.random_seed,
        batch=prototxt.effective_batch,
        nudge=request.nudge,
        threads=request.threads,
        reference=runs[0],
        torch=compare(runs[0], runs[1]),
        yardstick=compare(runs[0], runs[2]) if again else None,
    )


def _require_cores(threads: int | None) -> None:
    """Raise UsageError for more threads than cores.

    A BLAS uses no more than that: it would add up in its usual order, and so agree.
    """
    # it goes by the affinity: a container's quota only makes its threads wait
    cores = len(affinity())
    if threads is not None and threads > cores:
        raise UsageError(f"--threads {threads}: this process may use {cores} core(s) only")


def _find_caffe(caffe_python: str | None) -> Engine:
    try:
        return discovery.find_caffe(caffe_python)
    except TinynetError as error:
        raise TinynetError(f"parity compares with real Caffe: {error}") from None


def _prepare(request: ParityRequest) -> TrainingPrototxt:
    """The solver without tests, snapshots and display, which change nothing that it learns.

    Its test nets stay, since they draw random numbers when they are made.
    """
    prototxt = training_prototxt.load(request.solver, request.overrides)
    solver = prototxt.solver
    solver.snapshot = 0
    solver.display = 0
    solver.test_initialization = False
    if prototxt.test_nets:
        solver.test_interval = _NEVER
    return prototxt


def _arguments(request: ParityRequest, prototxt: TrainingPrototxt, folder: Path) -> list[str]:
    """A worker's arguments, the same for all engines; writes the prototxt that they run."""
    paths = RunPaths(folder)
    paths.snapshots.mkdir()
    for name, text in prototxt.texts(paths).items():
        (folder / name).write_text(text, encoding="utf-8")
    arguments = [
        *("steps", os.fspath(paths.solver), f"--iterations={request.iterations}"),
        f"--iter-size={prototxt.solver.iter_size}",
    ]
    start = request.start
    if start is None:
        return arguments
    if not start.is_file():
        raise UsageError(f"{start}: no such snapshot; --from takes a .caffemodel or .solverstate")
    if ".solverstate" in start.name:
        return [*arguments, "--restore", os.fspath(_plain_state(start, folder))]
    return [*arguments, "--weights", os.fspath(start)]


def _plain_state(path: Path, folder: Path) -> Path:
    """Copy a solverstate, with ``learned_net`` naming the model beside the original.

    The copy lacks the file that this engine stores beside a state to resume exactly: real Caffe
    resumes with fresh random numbers and at the first record, and so both must.
    """
    copy = folder / path.name
    if path.suffix == ".h5":
        shutil.copyfile(path, copy)  # with its learned_net as it is
        return copy
    state = binary.read(path, schema.SolverState)
    beside = path.parent / Path(state.learned_net).name
    model = beside if beside.is_file() else Path(state.learned_net)
    if not model.is_file():
        raise TinynetError(f"{path}: its weights {state.learned_net} are neither there nor beside")
    state.learned_net = os.fspath(model)
    binary.write(copy, state)
    return copy


class _Worker:
    """Starts the worker of one engine, and takes what it reports and leaves."""

    def __init__(self, run: EngineRun, folder: Path, tell: Tell) -> None:
        self.run = run
        self._out = folder / f"{run.label}.npz"
        self._tell = tell

    def start(self, arguments: Sequence[str], threads: int | None) -> process.WorkerProcess:
        return process.start_worker(
            self.run.engine,
            [*arguments, "--out", self._out],
            threads=threads,
            take_event=self._take,
            with_input=True,  # when it closes, the worker knows that we are gone
        )

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "solving":
            self.run.first = event["iteration"]
        elif event["event"] == "iteration":
            self.run.losses.append(event["loss"])
            self.run.inputs.append(event["inputs"])
            self._tell(self.run.label, len(self.run.losses))
        elif event["event"] == "nudged":
            self.run.nudged = event["parameter"]

    def take_parameters(self) -> None:
        """Take the parameters that the worker has left at its end."""
        with np.load(self._out) as stored:
            for key in stored.files:
                when, _, rest = key.partition("/")
                layer, _, index = rest.rpartition("/")
                getattr(self.run, when)[f"{layer}[{index}]"] = stored[key]
        self._out.unlink()
