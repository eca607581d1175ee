"""Chooses how many solvers train a run together, and the devices of those that start here.

Each solver has a process of its own.  Either one command starts them all on this machine, or a
launcher has started a command for each (``tinynet.launcher``).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from tinynet import processor
from tinynet.engine import devices
from tinynet.engine.discovery import Engine
from tinynet.errors import TinynetError, UsageError
from tinynet.launcher import LaunchedProcess, processes_sharing_cores
from tinynet.run.request import TrainingRequest


@dataclass(frozen=True)
class Solvers:
    """``count`` solvers in all; ``gpus`` are those of the ones that start here, () for the CPU."""

    count: int = 1
    gpus: tuple[int, ...] = ()
    process: LaunchedProcess | None = None  # this one, if a launcher has started one per solver

    @property
    def here(self) -> int:
        """How many solvers this command starts."""
        return 1 if self.process else self.count

    @property
    def device(self) -> str:
        """The devices as in ``run.json`` and tables: "cpu", "gpu 0,1, 2 solvers"."""
        name = f"gpu {','.join(map(str, self.gpus))}" if self.gpus else "cpu"
        return name if self.count == 1 else f"{name}, {self.count} solvers"

    @property
    def where(self) -> str:
        """The devices as in a sentence: "CPU", "GPU 0,1 (2 solvers)"."""
        name = "CPU" if not self.gpus else f"GPU {','.join(map(str, self.gpus))}"
        return name if self.count == 1 else f"{name} ({self.count} solvers)"

    @property
    def threads(self) -> int:
        """How many threads each solver here computes with."""
        among = processes_sharing_cores() if self.process else self.count
        return max(1, processor.usable_threads() // among)


def choose(
    request: TrainingRequest, before: int | None, engine: Engine, process: LaunchedProcess | None
) -> Solvers:
    """Choose the solvers: as requested, or as many as before, on the first GPUs.

    ``before``: how many the run was begun with.  Raises UsageError if the options contradict each
    other or the launcher, TinynetError if there are too few GPUs.
    """
    if process is not None:
        return _launched(request, engine, process)
    gpus = _gpus(request, engine)
    count = request.solvers or len(gpus) or before or 1
    if gpus and count != len(gpus):
        raise UsageError(
            f"--solvers {count} and {len(gpus)} GPU{'s' * (len(gpus) > 1)}: each solver takes one; "
            "leave --solvers out"
        )
    if not gpus and not request.cpu and engine.name == "torch":
        seen = len(devices.cuda_devices(engine.python))
        if 0 < seen < count:
            raise TinynetError(
                f"{count} solvers need a GPU each, and PyTorch sees {seen} here; train with --cpu "
                "on this machine's cores"
            )
        gpus = tuple(range(count)) if seen else ()
    if engine.name == "caffe" and count > 1 and not gpus:
        raise UsageError(
            f"{count} solvers: real Caffe trains with several on GPUs only; name them, as in "
            "--gpus 0,1, or train with --engine torch"
        )
    return Solvers(count, gpus)


def _launched(request: TrainingRequest, engine: Engine, process: LaunchedProcess) -> Solvers:
    if request.solvers not in (None, process.solvers):
        raise UsageError(
            f"--solvers {request.solvers}: the launcher has started {process.solvers} processes, "
            "one for each solver; leave --solvers out"
        )
    if engine.name != "torch":
        raise UsageError(
            "real Caffe's solvers are started by one command, --gpus 0,1: leave the launcher out, "
            "or train with --engine torch"
        )
    if request.cpu:
        return Solvers(process.solvers, (), process)
    gpus = _gpus(request, engine) if request.gpus or request.gpu is not None else None
    if gpus is None:
        gpus = tuple(range(len(devices.cuda_devices(engine.python))))
    if not gpus:
        return Solvers(process.solvers, (), process)
    if len(gpus) == 1 and "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ","):
        return Solvers(process.solvers, gpus, process)  # the launcher shows each only its own GPU
    if process.local_rank >= len(gpus):
        raise TinynetError(
            f"process {process.local_rank} of this machine has no GPU: there are {len(gpus)}, and "
            "each solver takes one; start fewer processes here, or train with --cpu"
        )
    return Solvers(process.solvers, (gpus[process.local_rank],), process)


def _gpus(request: TrainingRequest, engine: Engine) -> tuple[int, ...]:
    """The numbers of the GPUs requested; () if none are."""
    if request.gpu is not None:
        return (request.gpu,)
    if request.gpus is None:
        return ()
    if "," in request.gpus:
        return tuple(int(word) for word in request.gpus.split(","))
    seen = len(devices.cuda_devices(engine.python if engine.name == "torch" else sys.executable))
    if request.gpus == "all":
        if not seen:
            raise TinynetError("--gpus all: PyTorch sees no GPU here; train with --cpu --solvers N")
        return tuple(range(seen))
    count = int(request.gpus)
    if seen < count:
        here = f"{seen or 'no'} GPU{'s' * (seen > 1)}"
        raise TinynetError(f"--gpus {count}: PyTorch sees {here} here; {_instead(seen)}")
    return tuple(range(count))


def _instead(seen: int) -> str:
    if "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", ""):
        return "a process sees only one MIG slice; train on it with --gpu 0"
    return ("train on fewer, or" if seen else "train") + " with --cpu --solvers N"
