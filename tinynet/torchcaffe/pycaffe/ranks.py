"""The processes of one training by several solvers: this one's rank, and those that it starts.

A launcher (``tinynet.launcher``) may have started them all.  Otherwise the process that a user
started is rank 0, and starts the others by its own command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from types import TracebackType

import torch

from tinynet.launcher import LaunchedProcess, this_process
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, check
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.parallel import NCCL, Ended, remove_uid
from tinynet.torchcaffe.signals import SolverAction
from tinynet.torchcaffe.solver import Solver

STOPPED = 75  # exit status of a process that was asked to stop
_UID = "TINYNET_SOLVERS_UID"
# in rising order of precedence: a stop writes a snapshot too
_ACTIONS = (SolverAction.NONE, SolverAction.SNAPSHOT, SolverAction.STOP)
# seconds that rank 0 has to notice by itself that another rank has ended
_GRACE = 10.0


class Ranks:
    """This process's part in a training by ``count`` solvers; a context manager.

    Entering sets this thread's solver_count and solver_rank, and starts the other processes if no
    launcher did.  Then make a solver and call ``join(solver)`` to join it with the others.  Leaving
    ends the processes that were started.
    """

    def __init__(self, count: int) -> None:
        """``count``: the number of solvers; under a launcher, its number of processes or 1."""
        process = this_process()
        check(
            process is None or count in (1, process.solvers),
            f"{count} solvers were asked for, but the launcher started "
            f"{process.solvers if process else 1} processes; ask for as many, or leave it out",
        )
        self._launched = process is not None
        self.process = process or LaunchedProcess(0, count, 0)
        self._uid = os.environ.get(_UID, "env://").encode()
        self._started: list[subprocess.Popen[bytes]] = []
        self._nccl: NCCL | None = None
        self._reason: str | None = None
        self._looking = threading.Lock()  # held while the other processes are polled
        self._leaving = False

    def __enter__(self) -> Ranks:
        rank, count, _ = self.process
        self._before = CONTEXT.solver_count, CONTEXT.solver_rank, CONTEXT.multiprocess
        CONTEXT.solver_count, CONTEXT.solver_rank, CONTEXT.multiprocess = count, rank, True
        if not self._launched and count > 1:
            self._uid = NCCL.new_uid()
            for other in range(1, count):
                self._started.append(self._start(other))
            threading.Thread(target=self._watch, name="other ranks", daemon=True).start()
        if count > 1 and (self._started or _UID in os.environ):
            # the processes share the CPUs of this machine
            torch.set_num_threads(max(1, torch.get_num_threads() // count))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if isinstance(error, Ended):
            self._find_ended(_GRACE)
        self._leaving = True
        CONTEXT.solver_count, CONTEXT.solver_rank, CONTEXT.multiprocess = self._before
        for process in self._started:
            if error is not None:
                process.kill()
            process.wait()
        if self._started and error is not None:
            remove_uid(self._uid)  # before the ranks were joined, nobody else removes its folder
        if isinstance(error, Ended) and self._reason is not None:
            raise CaffeError(self._reason) from error

    def device(self, gpus: list[int]) -> int | None:
        """This process's GPU out of ``gpus``; None for the CPU, if there are none.

        If a launcher shows each process only one GPU, that is its GPU.
        """
        if not gpus:
            return None
        if self._launched and len(gpus) == 1 and _shows_one_gpu():
            return gpus[0]
        check(
            self.process.local_rank < len(gpus),
            f"process {self.process.local_rank} of this machine has no GPU: each solver takes one "
            f"of -gpu {','.join(map(str, gpus))}",
        )
        return gpus[self.process.local_rank]

    def join(self, solver: Solver) -> None:
        """Join ``solver`` with those of the other ranks, and give all the weights of rank 0."""
        self._nccl = NCCL(solver, self._uid, self._require_others)
        self._nccl.bcast()
        solver.add_callback(self._nccl)

    def agreed(self, action: SolverAction) -> SolverAction:
        """Rank 0's ``action``; all ranks must ask after the same iteration."""
        if self._nccl is None:
            return action
        # a terminal's signal reaches all ranks, but not all after the same iteration
        mine = _ACTIONS.index(action) if self.process.rank == 0 else 0
        return _ACTIONS[self._nccl.highest(mine)]

    # --- the processes that rank 0 has started

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": str(self.process.solvers),
            "LOCAL_RANK": str(rank),
            _UID: self._uid.decode(),
        }
        # its stdin closes when this process ends, on which a worker ends too
        return subprocess.Popen(
            [sys.executable, *sys.argv],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _watch(self) -> None:
        """Wait for a process to end unexpectedly; then end this one if nothing else does."""
        while not self._leaving:
            if self._find_ended(0.1):
                time.sleep(2 * _GRACE)
                if not self._leaving:
                    print(f"tinynet: {self._reason}", file=sys.stderr, flush=True)
                    os._exit(1)
                return

    def _find_ended(self, seconds: float) -> bool:
        """Whether a process ends unexpectedly within ``seconds``; sets ``_reason``."""
        latest = time.monotonic() + seconds
        while self._started:
            with self._looking:
                for rank, process in enumerate(self._started, 1):
                    if self._reason is None and process.poll() not in (None, 0, STOPPED):
                        self._reason = self._why_ended(rank, process)
            if self._reason is not None or time.monotonic() >= latest:
                break
            time.sleep(0.05)
        return self._reason is not None

    def _why_ended(self, rank: int, process: subprocess.Popen[bytes]) -> str:
        """Why an ended process has ended, by its last error event or by its exit status."""
        assert process.stdout is not None
        status = process.returncode
        why = f"exit status {status}" if status > 0 else f"signal {-status}"
        for line in process.stdout:
            try:
                event = json.loads(line)
                if event["event"] == "error":
                    why = event["message"]
            except (ValueError, KeyError, TypeError):
                continue
        return (
            f"rank {rank} of {self.process.solvers} has ended ({why}), which ended the training; "
            "resume from the last snapshot"
        )

    def _require_others(self) -> None:
        if self._reason is not None:
            raise CaffeError(self._reason)


def effective_batch(net: Net, iter_size: int, count: int) -> str:
    """How many records one update uses: each solver takes the prototxt's batch, as in Caffe."""
    for layer, tops in zip(net.graph.layers, net.graph.tops):
        if layer.num_bottom == (0, 0) and tops and tops[0].shape:
            batch = tops[0].shape[0] * iter_size
            return f"{count * batch} ({count} solvers of {batch} each)"
    return f"of {count} solvers"


def _shows_one_gpu() -> bool:
    return "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
