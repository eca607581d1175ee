"""Chooses the device that an engine works on, and tests it before it is used."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tinynet.engine import environment
from tinynet.engine.discovery import Engine
from tinynet.engine.interpreters import ask
from tinynet.engine.process import start_worker

VISIBLE = "CUDA_VISIBLE_DEVICES"
UUIDS = ("GPU-", "MIG-")  # prefixes of UUIDs


def choose(engine: Engine, gpu: int | None, cpu: bool) -> int | None:
    """The number of the GPU requested, or of the first that torch sees; None for the CPU."""
    if gpu is not None or cpu:
        return gpu
    return 0 if engine.name == "torch" and cuda_devices(engine.python) else None


def require(engine: Engine, gpu: int) -> None:
    """Raise TinynetError if the engine cannot use that GPU; a worker tries it."""
    with start_worker(engine, ["device", f"--gpu={gpu}"]) as worker:
        worker.finish()


def cuda_devices(python: str) -> list[str]:
    """Names of the CUDA devices that torch sees under an interpreter; [] if there are none.

    A child is asked, which takes seconds to import torch, and only if there is a GPU driver.
    """
    return list(_seen(python).names) if has_driver() else []


def why_unused(python: str) -> str:
    """Why torch sees no GPU although there is a driver; "" if it does, or if GPUs are hidden."""
    if are_hidden() or not has_driver():
        return ""
    seen = _seen(python)
    if seen.names or not seen.torch:
        return ""
    return (
        f"this machine has an NVIDIA driver, and PyTorch {seen.torch} finds no GPU "
        f"({seen.why or 'it gives no reason'}): computing on the CPU, as with --cpu"
    )


def are_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides all GPUs of this machine."""
    return VISIBLE in os.environ and not shown(os.environ[VISIBLE])


def shown(visible: str) -> list[str]:
    """The numbers and UUIDs in CUDA_VISIBLE_DEVICES, as CUDA reads it.

    CUDA ignores everything from the first word on that is no device: "-1", Slurm's "NoDevFiles".
    """
    words = [word.strip() for word in visible.split(",")]
    return list(itertools.takewhile(lambda w: w.isdecimal() or w.startswith(UUIDS), words))


class _Seen(NamedTuple):
    torch: str = ""  # its version
    names: Sequence[str] = ()
    why: str = ""


def has_driver() -> bool:
    """Whether this machine seems to have an NVIDIA driver; the driver itself is not asked."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


@cache
def _seen(python: str) -> _Seen:
    # number the GPUs as nvidia-smi does, and as workers do (environment.py)
    order = os.environ.get(environment.DEVICE_ORDER, environment.AS_NVIDIA_SMI)
    try:
        answer = json.loads(ask([python, "-c", _CODE], **{environment.DEVICE_ORDER: order}).stdout)
        return _Seen(*answer)
    except (TypeError, ValueError):
        return _Seen()


_CODE = """
import json, torch
c, why, names = torch.cuda, "", []
if c.is_available():
    names = [c.get_device_name(i) for i in range(c.device_count())]
else:
    try:
        c.init()
    except (RuntimeError, AssertionError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
print(json.dumps([torch.__version__, names, why]))
"""
