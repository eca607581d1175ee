"""Picks GPUs on a machine that others use too: one for each job, or as many as it has solvers.

A GPU is free if no process computes on it and its memory is almost empty (in a container NVML may
see the memory of other processes, but not the processes).  The one with the most free memory is
taken first.  Other runners may pick the same GPU at the same time, so a lock per GPU is taken, and
the GPU is used only if it is still free then.  The lock is the kernel's, lies in a folder that all
users share, and is held by the job's commands too, until the last of them is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinynet.engine import devices, environment
from tinynet.errors import TinynetError, UsageError
from tinynet.files import name_in_errors, try_lock
from tinynet.jobs.slots import Slot
from tinynet.processor import usable_cores

LOCKS = "TINYNET_GPU_LOCKS"  # names another folder for the locks
DEFAULT_LOCKS = Path("/tmp/tinynet-gpus")
# An idle GPU may show this amount plus this share of its memory as used by the driver (an idle H200
# shows 615 MiB of 143,771), but no more than the last: that might be a small training.
_IDLE_MIB, _IDLE_SHARE, _IDLE_MOST = 600, 0.02, 1100
# Others must have been without a free GPU for this long before a job of ours makes room: while a
# process starts or has just ended, its GPU looks neither free nor used for a moment.
_YIELD_SECONDS = 20.0


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVML sees it at one moment.  Memory in MiB."""

    index: int  # in the order of PCI bus ids, as nvidia-smi counts
    uuid: str
    name: str
    total: int
    free: int
    processes: tuple[int, ...] = ()  # pids that compute on it
    is_slice: bool = False  # a slice of a GPU in MIG mode; ``index`` is that GPU's

    @property
    def is_idle(self) -> bool:
        used = self.total - self.free
        most = min(_IDLE_MIB + _IDLE_SHARE * self.total, _IDLE_MOST)
        return not self.processes and used <= most


Look = Callable[[], Sequence[Gpu]]


def look() -> list[Gpu]:
    """Every GPU of this machine, as NVML reports them.

    Raises TinynetError if ``nvidia-ml-py`` or the driver is missing.
    """
    try:
        import pynvml
    except ImportError:
        raise TinynetError(
            "looking at GPUs needs nvidia-ml-py: pip install 'tinynet[gpu]'"
        ) from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise TinynetError(f"no NVIDIA driver answers here ({error}); use --processes N") from None
    try:
        found: list[Gpu] = []
        faults = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                found += _gpus(pynvml, index)
            except pynvml.NVMLError as error:  # a broken GPU does not hide the others
                faults.append(f"GPU {index}: {error}")
        if faults and not found:
            raise TinynetError(f"NVML: {'; '.join(faults)}")
        return found
    except pynvml.NVMLError as error:
        raise TinynetError(f"NVML: {error}") from None
    finally:
        pynvml.nvmlShutdown()


def are_here() -> bool:
    """Whether GPUs may be used here: there is a driver, and not all GPUs are hidden."""
    return devices.has_driver() and not devices.are_hidden()


def _gpus(nvml: Any, index: int) -> Iterator[Gpu]:
    """Yield the GPU, or its slices if it is in MIG mode, since only these then compute."""
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    name = _text(nvml.nvmlDeviceGetName(device))
    slices = _slices(nvml, device)
    for part in [device] if slices is None else slices:
        memory = nvml.nvmlDeviceGetMemoryInfo(part)
        pids = tuple(p.pid for p in nvml.nvmlDeviceGetComputeRunningProcesses(part))
        uuid = _text(nvml.nvmlDeviceGetUUID(part))
        total, free = memory.total >> 20, memory.free >> 20
        yield Gpu(index, uuid, name, total, free, pids, is_slice=slices is not None)


def _slices(nvml: Any, device: Any) -> list[Any] | None:
    """The slices of a GPU in MIG mode, [] if none has been made; None if it is not in MIG mode."""
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(device)
        if not current:
            return None
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(device)
    except nvml.NVMLError:  # a GPU without such a mode
        return None
    found = []
    for number in range(most):
        with contextlib.suppress(nvml.NVMLError):  # no slice has this number
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, number))
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # releases before 11.500


def chosen(present: Sequence[Gpu], wanted: str | None, visible: str | None) -> list[Gpu]:
    """The GPUs that may be used: those ``wanted`` among the ``visible`` ones.

    ``wanted``: "all"; a number, such as "2" for the first two; or a list of indexes and UUIDs, such
    as "0,2", or "2," for one.  ``visible``: the value of CUDA_VISIBLE_DEVICES, set by a batch
    system, say; None: all GPUs.  The indexes in ``wanted`` count the visible GPUs, as CUDA's do.
    Without ``visible``, the index of a GPU in MIG mode means all its slices.  Raises UsageError for
    a GPU that is not here, for more than there are, and if some are wanted but none may be used.
    """
    by_index = [(gpu.index, gpu) for gpu in present]
    if visible is not None:
        by_index = list(enumerate(_named(by_index, devices.shown(visible), devices.VISIBLE)))
    allowed = [gpu for _, gpu in by_index]
    if wanted is None:
        return allowed
    if not allowed:
        hidden = "" if visible is None else f": CUDA_VISIBLE_DEVICES is '{visible}'"
        raise UsageError(f"--gpus {wanted}: none may be used here{hidden}")
    if wanted == "all":
        return allowed
    if wanted.isdecimal():
        if int(wanted) > len(allowed):
            raise UsageError(
                f"--gpus {wanted}: {len(allowed)} may be used here; GPU {wanted} alone is --gpu "
                f"{wanted}"
            )
        return allowed[: int(wanted)]
    where = "--gpus" if visible is None else f"--gpus, with CUDA_VISIBLE_DEVICES={visible}"
    return _named(by_index, _words(wanted), where)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _named(present: Sequence[tuple[int, Gpu]], words: Sequence[str], where: str) -> list[Gpu]:
    """The GPUs that ``words`` name, by index in ``present`` or the beginning of the UUID."""
    named: dict[str, Gpu] = {}
    for word in words:
        is_uuid = word.startswith(devices.UUIDS)
        meant = [
            gpu
            for index, gpu in present
            if (gpu.uuid.startswith(word) if is_uuid else word == str(index))
        ]
        if not meant:
            here = ", ".join(f"{index} ({gpu.name})" for index, gpu in present) or "none"
            raise UsageError(f"{where}: no GPU '{word}' here; the GPUs are {here}")
        named.update({gpu.uuid: gpu for gpu in meant})
    return list(named.values())


class Gpus:
    """The GPUs of this machine, as ``slots.Slots``; GPUs that others use are left alone."""

    def __init__(
        self,
        allowed: Sequence[Gpu],
        memory: int = 0,
        leave_free: int = 0,
        share: bool = False,
        look: Look = look,
        locks: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        per_gpu: int = 1,
    ) -> None:
        """Use the GPUs ``allowed``.

        ``memory``: MiB that must be free on a GPU.  ``leave_free``: how many GPUs to leave free for
        others.  ``share``: also use GPUs on which others compute.  ``per_gpu``: how many of our
        jobs may run on each at once.
        """
        self._uuids = [gpu.uuid for gpu in allowed]
        self._whole = sum(not gpu.is_slice for gpu in allowed)
        self._memory = memory
        self._leave_free = leave_free
        self._share = share
        self._look = look
        self._locks = locks or Path(os.environ.get(LOCKS) or DEFAULT_LOCKS)
        self._clock = clock
        self._per_gpu = per_gpu
        self._held: dict[Slot, tuple[str, ...]] = {}
        self._broken: set[str] = set()
        self._short_since: float | None = None
        each = max(1, usable_cores() // max(1, len(self._uuids) * per_gpu))
        self._threads = environment.at_most(each)

    def take(self, solvers: int = 1) -> Slot | None:
        """Take one GPU for each solver; several solvers get no slices, which NCCL cannot connect.

        Raises TinynetError if too many GPUs have turned out broken: job after job would fail.
        """
        left = len({*self._uuids} - self._broken)
        if self._broken and left < solvers:
            raise TinynetError(
                f"{len(self._broken)} of {len(self._uuids)} GPUs do not compute, and a job takes "
                f"{solvers}; look at nvidia-smi; --retry begins again what has failed"
            )
        present = self._found()
        lost: set[str] = set()
        while self._leaves_enough(present, solvers):
            locks = self._locks_of([gpu for gpu in present if gpu.uuid not in lost], solvers)
            if not locks:
                return None
            # another process may have started on one of them before we got its lock
            present = self._found()
            suiting = {gpu.uuid: gpu for gpu in present if self._suits(gpu, solvers)}
            missing = locks.keys() - suiting.keys()
            if not missing and self._leaves_enough(present, solvers):
                return self._slot([suiting[uuid] for uuid in locks], tuple(locks.values()))
            _close(locks.values())
            lost |= missing
        return None

    def _locks_of(self, gpus: Sequence[Gpu], solvers: int) -> dict[str, int]:
        """Lock one GPU for each solver; return the descriptors by UUID, {} if there are too few."""
        locks: dict[str, int] = {}
        mine = self._held_uuids()
        for gpu in sorted(gpus, key=lambda gpu: (mine.count(gpu.uuid), -gpu.free, gpu.index)):
            descriptor = self._lock(gpu) if self._suits(gpu, solvers) else None
            if descriptor is not None:
                locks[gpu.uuid] = descriptor
                if len(locks) == solvers:
                    return locks
        _close(locks.values())
        return {}

    def _slot(self, gpus: Sequence[Gpu], descriptors: tuple[int, ...]) -> Slot:
        # CUDA numbers the visible GPUs from 0 on
        numbers = ",".join(map(str, range(len(gpus))))
        slot = Slot(
            f"GPU {','.join(str(gpu.index) for gpu in gpus)}",
            ("--gpu", "0"),
            together=("--gpus", numbers) if len(gpus) > 1 else (),
            environment={
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                "CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in gpus),
                **self._threads,
            },
            descriptors=descriptors,
        )
        self._held[slot] = tuple(gpu.uuid for gpu in gpus)
        return slot

    def require(self, solvers: int, what: str) -> None:
        """Raise UsageError if there are fewer GPUs than ``what`` has solvers."""
        if solvers > max(1, self._whole):
            raise UsageError(
                f"{what}: trains on {solvers} GPUs together, and {self._whole} may be used here "
                "(slices of MIG count as none)"
            )

    def _held_uuids(self) -> list[str]:
        return [uuid for held in self._held.values() for uuid in held]

    def give_back(self, slot: Slot, broken: bool = False) -> None:
        if broken:
            self._broken.update(self._held[slot])
        del self._held[slot]
        _close(slot.descriptors)

    def are_taken(self) -> bool:
        return len(self._held_uuids()) >= self._per_gpu * len({*self._uuids} - self._broken)

    def _found(self) -> list[Gpu]:
        """The allowed GPUs that NVML reports now, without those known to be broken.

        [] if NVML fails while jobs of ours run: a driver that has been upgraded answers no more,
        but the jobs continue.
        """
        try:
            seen = self._look()
        except TinynetError:
            if not self._held:
                raise
            return []
        return [g for g in seen if g.uuid in self._uuids and g.uuid not in self._broken]

    def wanted_by_others(self) -> int:
        """How many of our slots to give up, so that ``leave_free`` GPUs are free for others."""
        if not self._leave_free or not self._held:
            return 0
        present = self._found()
        missing = self._leave_free - len(self._free(present))
        if missing <= 0 or not present:
            self._short_since = None
            return 0
        if self._short_since is None:
            self._short_since = self._clock()
        if self._clock() - self._short_since < _YIELD_SECONDS:
            return 0
        self._short_since = None  # a GPU that is given up now takes a moment to become free
        given = 0
        for number, held in enumerate(reversed(self._held.values()), 1):  # the youngest first
            given += len(held)
            if given >= missing:
                return number
        return len(self._held)

    def _free(self, present: Sequence[Gpu]) -> list[Gpu]:
        """The GPUs that neither we nor, as far as NVML shows, anybody else uses."""
        return [gpu for gpu in present if gpu.is_idle and gpu.uuid not in self._held_uuids()]

    def _leaves_enough(self, present: Sequence[Gpu], solvers: int) -> bool:
        return not self._leave_free or len(self._free(present)) >= self._leave_free + solvers

    def _suits(self, gpu: Gpu, solvers: int) -> bool:
        mine = self._held_uuids().count(gpu.uuid)
        if mine >= self._per_gpu or gpu.free < self._memory or (gpu.is_slice and solvers > 1):
            return False
        return self._share or mine > 0 or gpu.is_idle  # mine > 0: our own job computes on it

    def _lock(self, gpu: Gpu) -> int | None:
        """A descriptor that holds the GPU's lock; None if another process holds it."""
        for slot, held in self._held.items():
            if gpu.uuid in held:  # a duplicate holds the same lock, until the last is closed
                return os.dup(slot.descriptors[held.index(gpu.uuid)])
        _make_shared(self._locks)
        path = self._locks / f"{gpu.uuid}.lock"
        # opened for reading, which is enough for flock: the file may be another user's
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT | os.O_EXCL, os.O_RDONLY):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
                if flags & os.O_CREAT:
                    os.fchmod(descriptor, 0o644)  # whatever the umask: other users must open it
                break
        else:
            return None
        with name_in_errors(path):
            if try_lock(descriptor):
                return descriptor
        os.close(descriptor)
        return None


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _make_shared(folder: Path) -> None:
    """Make a folder in which every user may make files, but remove only their own."""
    try:
        if folder.exists():
            raise FileExistsError
        # in one step, so that no other user finds it before it is for all
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        new.chmod(0o1777)
        try:
            new.rename(folder)
        except OSError:  # another process was faster, and its folder holds a lock
            new.rmdir()
            raise FileExistsError from None
    except FileExistsError:
        if not folder.is_dir() or folder.is_symlink():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
