"""NCCL: several solvers, one per process, that train one net together (src/caffe/parallel.cpp).

Each solver has its own batch.  Before an update the gradients are summed over the solvers and
multiplied by 1 / solver_count, so that N solvers with batch B take the step of one with batch N·B.
The class has Caffe's name, but communicates by ``torch.distributed``: with NCCL between GPUs and
with Gloo between CPUs.

``torch.distributed`` is imported where it is used, because the import alone changes how the process
shows an error (its ``sys.excepthook``).

A *uid* says where the solvers of one training meet: a file that ``new_uid`` names on this machine
or, under ``torchrun``, the address in the environment (MASTER_ADDR, MASTER_PORT).
"""

from __future__ import annotations

import datetime
import gc
import os
import re
import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, check, first_line

if TYPE_CHECKING:
    import torch.distributed as dist
    from torch._C._distributed_c10d import Store

    from tinynet.torchcaffe.solver import Solver

_FILE, _ENVIRONMENT = "file://", "env://"
_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
_RANKS = ("RANK", "WORLD_SIZE")  # set by a launcher that has started all ranks
_MEET = datetime.timedelta(minutes=5)
_RELEASE = 10.0  # seconds for an earlier solver's group to be released
_POLL = 0.05  # seconds between two checks which ranks have arrived
# Long enough to wait while rank 0 tests and snapshots.  A rank that dies closes its connections,
# which the others notice at once.
_WORK = datetime.timedelta(days=1)


class Ended(CaffeError):
    """Another rank has ended, which ends the training."""


class NCCL:
    """Joins ``solver`` with the solvers of the other ranks; all ranks give the same ``uid``.

    Set solver_count and solver_rank before the solver is made, and call ``bcast()`` on every rank
    before the first step.  Then ``solver.add_callback(nccl)`` averages the gradients before each
    update.  With ``solver.net.after_backward(nccl)`` as well, a solver with ``layer_wise_reduce``
    averages them while the backward pass is still running.

    Raises CaffeError if the ranks do not meet within five minutes.  The methods raise Ended if
    another rank has ended.
    """

    def __init__(
        self,
        solver: Solver,
        uid: bytes | str,
        require_others: Callable[[], None] = lambda: None,
    ) -> None:
        """``require_others`` is called while the ranks meet; it raises if one cannot join."""
        import torch.distributed as dist

        self._solver = solver
        self._count, self._rank = CONTEXT.solver_count, CONTEXT.solver_rank
        check(
            0 <= self._rank < self._count,
            f"solver_rank must be from 0 to solver_count - 1; got {self._rank} of {self._count}",
        )
        # An earlier solver and its callbacks may be left in a reference cycle.  If another thread
        # is collecting it already, ``gc.collect`` does nothing and its end must be waited for.
        latest = time.monotonic() + _RELEASE
        while (dist.is_initialized() or _leaving) and time.monotonic() < latest:
            gc.collect()
            time.sleep(_POLL)
        check(
            not dist.is_initialized() and not _leaving,
            "this process has joined another training already: one NCCL per process at a time",
        )
        self._params = list(solver.net.learnable_params)
        self._device = self._params[0].tensor.device if self._params else CONTEXT.device
        where = uid.decode() if isinstance(uid, bytes) else uid
        # NCCL's heartbeat would go on to ask the store, whose file is removed once all have met
        os.environ.setdefault("TORCH_NCCL_DUMP_ON_TIMEOUT", "0")
        self._of_cpus: dist.ProcessGroup | None = None
        try:
            store = _stores.pop(where, None) or _open_store(where)
            self._gather(store, where, require_others)
            dist.init_process_group(
                backend="nccl" if self._device.type == "cuda" else "gloo",
                store=store,
                rank=self._rank,
                world_size=self._count,
                timeout=_WORK,
            )
            if self._device.type == "cuda":
                # for values on the host, so that no rank waits for its GPU
                self._of_cpus = dist.new_group(backend="gloo", timeout=_WORK)
        except CaffeError:
            raise
        except (RuntimeError, OSError) as error:  # torch's DistError is a RuntimeError
            raise CaffeError(
                f"rank {self._rank} of {self._count} did not meet the others at {where}: "
                f"{first_line(error)}; start every rank with the same uid"
            ) from error
        self._folder = Path(where[len(_FILE) :]).parent if where.startswith(_FILE) else None
        self._end = weakref.finalize(
            self, _leave, self._folder if self._rank == 0 else None, os.getpid()
        )
        self._pending: list[tuple[dist.Work, torch.Tensor, list[torch.Tensor]]] = []
        self._reduced_by_layer = False

    @staticmethod
    def new_uid() -> bytes:
        """Return a new uid, for every rank.

        If a launcher has given all ranks an address, the uid stands for that address.
        """
        if all(os.environ.get(name) for name in (*_ADDRESS, *_RANKS)):
            return _ENVIRONMENT.encode()
        folder = tempfile.mkdtemp(prefix="tinynet-solvers-")
        return f"{_FILE}{folder}/store".encode()

    def _gather(self, store: Store, where: str, require_others: Callable[[], None]) -> None:
        """Wait until every rank has arrived."""
        check(
            store.add(f"rank {self._rank}", 1) == 1,
            f"uid {where}: there is a solver of rank {self._rank} already; each rank, and each "
            "training, has its own",
        )
        latest = time.monotonic() + _MEET.total_seconds()
        for rank in range(self._count):
            while not store.check([f"rank {rank}"]):
                require_others()
                check(
                    time.monotonic() < latest,
                    f"rank {rank} of {self._count} did not come to {where} within "
                    f"{_MEET.total_seconds():g} s; start every rank with the same uid",
                )
                time.sleep(_POLL)

    # --- pycaffe's interface

    def bcast(self) -> None:
        """Give every rank the weights of rank 0.

        Raises CaffeError if the ranks' GPUs cannot communicate.
        """
        import torch.distributed as dist

        weights = [blob.tensor for blob in self._params]
        if not weights:
            self._remove_folder()
            return
        flat, views = _flattened(weights)
        try:
            work = dist.broadcast(flat, 0, async_op=True)
        except RuntimeError as error:  # NCCL connects the ranks' GPUs only now
            raise CaffeError(
                f"rank {self._rank} of {self._count} cannot give or take weights: "
                f"{_last_error(error)}; each rank needs its own GPU, which all others can reach "
                "(NCCL_DEBUG=WARN says more)"
            ) from error
        self._wait(work)
        torch._foreach_copy_(weights, views)
        self._remove_folder()

    def _remove_folder(self) -> None:
        """Remove the folder where the ranks have met, once all of them are connected.

        NCCL connects them in its first operation, through the store in that folder.
        """
        if self._folder is not None:
            self.highest(0)  # returns once every rank is here
            if self._rank == 0:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def on_start(self) -> None:
        """Do nothing; called before an iteration's forward pass."""

    def run(self, layer: int) -> None:
        """Start to average the gradients of ``layer``, whose backward computation is done."""
        check(
            self._solver.parameters.layer_wise_reduce,
            "after_backward(nccl) is for a solver with layer_wise_reduce: true",
        )
        check(
            sum(len(each.blobs) for each in self._solver.net.graph.layers) == len(self._params),
            "layer_wise_reduce is not supported for nets with shared weights; write "
            "layer_wise_reduce: false",
        )
        blobs = self._solver.net.graph.layers[layer].blobs
        if len(blobs):
            self._begin(blobs)
        self._reduced_by_layer = True
        if layer == 0:  # the next pass of iter_size adds to the same gradients
            self._finish()

    __call__ = run  # what net.after_backward calls

    def on_gradients_ready(self) -> None:
        """Average all gradients, or wait for those that ``run`` has started to average."""
        if not self._reduced_by_layer and self._params:
            self._begin(self._params)
        self._finish()
        self._reduced_by_layer = False

    # --- beyond pycaffe: all ranks must call these at the same point

    def highest(self, number: int) -> int:
        """Return the highest ``number`` that any rank gives."""
        import torch.distributed as dist

        found = torch.tensor([number])
        work = dist.all_reduce(found, dist.ReduceOp.MAX, group=self._of_cpus, async_op=True)
        self._wait(work)
        return int(found)

    def gathered(self, text: str) -> list[str]:
        """Return the ``text`` of every rank, in their order, on rank 0; on the others nothing.

        Spaces at the end of a text are lost.
        """
        import torch.distributed as dist

        own = bytearray(text, "utf-8")
        own += b" " * (self.highest(len(own)) - len(own))
        mine = torch.frombuffer(own, dtype=torch.uint8)
        found = [torch.empty_like(mine) for _ in range(self._count)] if self._rank == 0 else None
        self._wait(dist.gather(mine, found, 0, group=self._of_cpus, async_op=True))
        return [bytes(each.tolist()).decode("utf-8").rstrip() for each in found or []]

    def _begin(self, blobs: Sequence[Blob]) -> None:
        import torch.distributed as dist

        grads = [blob.grad for blob in blobs]
        flat, views = _flattened(grads)
        work = dist.all_reduce(flat, dist.ReduceOp.SUM, async_op=True)
        self._pending.append((work, flat, [*grads, *views]))

    def _finish(self) -> None:
        for work, flat, tensors in self._pending:
            self._wait(work)
            flat.mul_(1.0 / self._count)
            half = len(tensors) // 2
            torch._foreach_copy_(tensors[:half], tensors[half:])
        self._pending.clear()

    def _wait(self, work: dist.Work | None) -> None:
        assert work is not None  # async_op
        try:
            work.wait()
        except RuntimeError as error:
            if first_line(error).startswith("CUDA"):
                raise  # an error of this rank's own GPU
            raise Ended(
                f"rank {self._rank} of {self._count} lost another rank, which has ended; "
                "resume all of them from the last snapshot"
            ) from error


def remove_uid(uid: bytes) -> None:
    """Remove the folder of a uid by which no rank will join any more."""
    where = uid.decode()
    if where.startswith(_FILE):
        shutil.rmtree(Path(where[len(_FILE) :]).parent, ignore_errors=True)


# by uid, the stores that told_by_rank_0 has opened, before there was a solver
_stores: dict[str, Store] = {}


def _open_store(where: str) -> Store:
    """Open the store that the ranks of the uid ``where`` share."""
    from torch._C._distributed_c10d import FileStore, PrefixStore, TCPStore

    count, rank = CONTEXT.solver_count, CONTEXT.solver_rank
    if where.startswith(_FILE):
        path = Path(where[len(_FILE) :])
        check(path.parent.is_dir(), f"uid {where}: there is no such folder on this machine")
        return FileStore(str(path), count)
    if not where.startswith(_ENVIRONMENT):
        raise CaffeError(f"uid '{where}' is not one of NCCL.new_uid()'s")
    address, port = (os.environ.get(name, "") for name in _ADDRESS)
    check(
        bool(address) and port.isdecimal(),
        f"uid {where}: MASTER_ADDR and MASTER_PORT must name where rank 0 listens; got "
        f"'{address}' and '{port}'",
    )
    socket.getaddrinfo(address, int(port))  # an unknown name would be retried for minutes
    # torchrun's own store may listen there already
    listens = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(
        f"tinynet {restart} {where[len(_ENVIRONMENT) :]}",
        TCPStore(address, int(port), count, listens and rank == 0, _MEET),
    )


def told_by_rank_0(where: str, text: str | None, seconds: float = _MEET.total_seconds()) -> str:
    """Return rank 0's ``text`` on every rank, before there is a solver.

    ``where`` is ``env://`` and a word that differs each time the ranks meet; it can then be the uid
    of their NCCL too.  Set solver_count and solver_rank first.  Rank 0 returns once all have read
    the text.  Raises CaffeError if another rank does not come within ``seconds``.
    """
    count, rank = CONTEXT.solver_count, CONTEXT.solver_rank
    try:
        store = _stores[where] = _open_store(where)
        if text is not None:
            store.set("told", text)
        found = store.get("told").decode("utf-8")  # waits until it is there
        store.add("have read", 1)
        latest = time.monotonic() + seconds
        while rank == 0 and store.add("have read", 0) < count:
            check(
                time.monotonic() < latest,
                f"not all of {count} ranks came to {_address()} within {seconds:g} s; start as "
                "many as WORLD_SIZE says",
            )
            time.sleep(_POLL)
    except CaffeError:
        raise
    except (RuntimeError, OSError) as error:
        raise CaffeError(
            f"rank {rank} of {count} did not meet rank 0 at {_address()}: {first_line(error)}"
        ) from error
    return found


def _address() -> str:
    return ":".join(os.environ.get(name, "") for name in _ADDRESS)


def _flattened(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the tensors' values as one vector, and views of it in the tensors' shapes."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    parts = flat.split([tensor.numel() for tensor in tensors])
    return flat, [part.view(tensor.shape) for part, tensor in zip(parts, tensors)]


def _last_error(error: Exception) -> str:
    """NCCL's own message; before it, torch's error has a source line and NCCL's version."""
    found = re.search(r"Last error:\s*(\S.*)", str(error))
    return found[1].rstrip(". ") if found else first_line(error)


# one entry while a thread leaves: torch says that it has left before it has
_leaving: list[None] = []


def _leave(folder: Path | None, process: int) -> None:
    import torch.distributed as dist

    if os.getpid() != process:
        return  # a forked child is no rank
    _leaving.append(None)
    try:
        if dist.is_initialized():
            dist.destroy_process_group()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        _leaving.pop()
