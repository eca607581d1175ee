"""Picks GPUs on a machine that others use too, one job on each.

A GPU is free when no process computes on it and its memory is all but empty (in a container NVML
may see the memory of others, but not their processes).  The one with the most free memory is
taken first.  Between looking and starting lies time, and other runners look too: so a lock per GPU
is taken, the GPU is looked at again, and only then is it ours.  The lock is the kernel's, lies in a
folder that all users share, and is held by the commands too, until the last of them is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinynet.engine import environment
from tinynet.engine.processor import usable_cores
from tinynet.errors import TinynetError, UsageError
from tinynet.files import try_lock
from tinynet.jobs.slots import Slot

LOCKS = "TINYNET_GPU_LOCKS"  # names another folder for the locks
DEFAULT_LOCKS = Path("/tmp/tinynet-gpus")
# What the driver itself takes of an idle GPU stays below this amount and share (an idle H200 shows
# 615 MiB of 143,771 as used), but below no more than the last: it would hide a small training.
_IDLE_MIB, _IDLE_SHARE, _IDLE_MOST = 600, 0.02, 1100
# Others must have been without a free GPU for so long before a job of ours makes room: one that is
# being started on, or a process that has just ended, is seen as neither free nor used for a moment.
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

    @property
    def is_idle(self) -> bool:
        used = self.total - self.free
        most = min(_IDLE_MIB + _IDLE_SHARE * self.total, _IDLE_MOST)
        return not self.processes and used <= most


Look = Callable[[], Sequence[Gpu]]


def look() -> list[Gpu]:
    """Every GPU of this machine, through NVML.

    Raises TinynetError where ``nvidia-ml-py`` or the driver is missing.
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
        return [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        raise TinynetError(f"NVML: {error}") from None
    finally:
        pynvml.nvmlShutdown()


def are_here() -> bool:
    """Whether this machine has an NVIDIA driver, asked without NVML."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def _gpu(nvml: Any, index: int) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(device)
    found = [p.pid for p in nvml.nvmlDeviceGetComputeRunningProcesses(device)]
    uuid, name = nvml.nvmlDeviceGetUUID(device), nvml.nvmlDeviceGetName(device)
    return Gpu(index, _text(uuid), _text(name), memory.total >> 20, memory.free >> 20, tuple(found))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # releases before 11.500


def chosen(found: Sequence[Gpu], wanted: str | None, visible: str | None) -> list[Gpu]:
    """The GPUs that may be used: ``wanted`` of those that are ``visible``.

    ``wanted``: "all", or indexes and UUIDs with commas between.  ``visible`` is what
    CUDA_VISIBLE_DEVICES was set to for us, say by a batch system; None: all.
    Raises UsageError for one that is not here.
    """
    allowed = list(found)
    if visible is not None:
        allowed = [_named(found, word, "CUDA_VISIBLE_DEVICES") for word in _words(visible)]
    if wanted in (None, "all"):
        return allowed
    picked = [_named(found, word, "--gpus") for word in _words(wanted or "")]
    for gpu in picked:
        if gpu not in allowed:
            raise UsageError(f"--gpus: GPU {gpu.index} is not in CUDA_VISIBLE_DEVICES ({visible})")
    return picked


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _named(found: Sequence[Gpu], word: str, where: str) -> Gpu:
    for gpu in found:
        if word == str(gpu.index) or (word.startswith("GPU-") and gpu.uuid.startswith(word)):
            return gpu
    here = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in found) or "none"
    raise UsageError(f"{where}: no GPU '{word}' here; the GPUs are {here}")


class Gpus:
    """The GPUs of this machine, as ``slots.Slots``: others' are left alone."""

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
        """``memory``: MiB that must be free; ``share``: also where others compute already.

        ``per_gpu``: how many jobs of ours at once on each.
        """
        self._uuids = [gpu.uuid for gpu in allowed]
        self._memory = memory
        self._leave_free = leave_free
        self._share = share
        self._look = look
        self._locks = locks or Path(os.environ.get(LOCKS) or DEFAULT_LOCKS)
        self._clock = clock
        self._per_gpu = per_gpu
        self._held: dict[Slot, str] = {}
        self._short_since: float | None = None
        each = max(1, len(usable_cores()) // max(1, len(self._uuids) * per_gpu))
        self._threads = environment.at_most(each)

    def take(self) -> Slot | None:
        found = [gpu for gpu in self._look() if gpu.uuid in self._uuids]
        if not self._leaves_enough(found):
            return None
        mine = list(self._held.values())
        for gpu in sorted(found, key=lambda gpu: (mine.count(gpu.uuid), -gpu.free, gpu.index)):
            if not self._suits(gpu):
                continue
            descriptor = self._lock(gpu)
            if descriptor is None:
                continue
            # somebody may have begun on it between the look and the lock
            now = [other for other in self._look() if other.uuid in self._uuids]
            again = [other for other in now if other.uuid == gpu.uuid]
            if again and self._suits(again[0]) and self._leaves_enough(now):
                slot = Slot(
                    f"GPU {gpu.index}",
                    ("--gpu", "0"),
                    {
                        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                        "CUDA_VISIBLE_DEVICES": gpu.uuid,
                        **self._threads,
                    },
                    descriptors=(descriptor,),
                )
                self._held[slot] = gpu.uuid
                return slot
            os.close(descriptor)
        return None

    def give_back(self, slot: Slot) -> None:
        del self._held[slot]
        for descriptor in slot.descriptors:
            os.close(descriptor)

    def wanted_by_others(self) -> int:
        """How many of our GPUs to give up, so that ``leave_free`` GPUs are free for others."""
        if not self._leave_free or not self._held:
            return 0
        found = [gpu for gpu in self._look() if gpu.uuid in self._uuids]
        missing = self._leave_free - len(self._free(found))
        if missing <= 0:
            self._short_since = None
            return 0
        if self._short_since is None:
            self._short_since = self._clock()
        if self._clock() - self._short_since < _YIELD_SECONDS:
            return 0
        self._short_since = None  # what is given up now takes a moment to be free
        return min(missing, len(self._held))

    def _free(self, found: Sequence[Gpu]) -> list[Gpu]:
        """Those that neither we nor, as far as is seen, anybody else uses."""
        return [gpu for gpu in found if gpu.is_idle and gpu.uuid not in self._held.values()]

    def _leaves_enough(self, found: Sequence[Gpu]) -> bool:
        return not self._leave_free or len(self._free(found)) > self._leave_free

    def _suits(self, gpu: Gpu) -> bool:
        mine = list(self._held.values()).count(gpu.uuid)
        if mine >= self._per_gpu or gpu.free < self._memory:
            return False
        return self._share or mine > 0 or gpu.is_idle  # what computes there may be ours

    def _lock(self, gpu: Gpu) -> int | None:
        """A descriptor that holds the GPU's lock, or None where somebody else does."""
        for slot, uuid in self._held.items():
            if uuid == gpu.uuid:  # a copy holds the same lock, until the last is closed
                return os.dup(slot.descriptors[0])
        _make_shared(self._locks)
        path = self._locks / f"{gpu.uuid}.lock"
        # opened for reading, which is enough for flock: the file may be another user's
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT | os.O_EXCL, os.O_RDONLY):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
                break
        else:
            return None
        if try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None


def _make_shared(folder: Path) -> None:
    """Make a folder in which every user may make files, and remove their own alone."""
    try:
        folder.mkdir()
        folder.chmod(0o1777)
    except FileExistsError:
        if not folder.is_dir() or folder.is_symlink():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
