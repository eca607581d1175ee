"""Which device an engine works on: chosen, and tried before anything rests on it."""

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
UUIDS = ("GPU-", "MIG-")  # how they begin


def choose(engine: Engine, gpu: int | None, cpu: bool) -> int | None:
    """The GPU's number, or None for the CPU: asked for, or where torch sees one, the first."""
    if gpu is not None or cpu:
        return gpu
    return 0 if engine.name == "torch" and cuda_devices(engine.python) else None


def require(engine: Engine, gpu: int) -> None:
    """Raise TinynetError where the engine cannot use that GPU; it is asked in a worker."""
    with start_worker(engine, ["device", f"--gpu={gpu}"]) as worker:
        worker.finish()


def cuda_devices(python: str) -> list[str]:
    """Names of the CUDA devices that torch sees under an interpreter, [] for none.

    Asked of a child, which takes seconds to import torch: only where the system has a GPU driver.
    """
    return list(_seen(python).names) if has_driver() else []


def why_unused(python: str) -> str:
    """Why torch uses none of the GPUs that are here; "" where it does, or none is to be used."""
    if are_hidden() or not has_driver():
        return ""
    seen = _seen(python)
    if seen.names or not seen.torch:
        return ""
    return (
        f"this machine has an NVIDIA driver, and PyTorch {seen.torch} finds no GPU "
        f"({seen.why or 'it says nothing of why'}): computing on the CPU, which --cpu says as well"
    )


def are_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES shows no GPU of this machine."""
    return VISIBLE in os.environ and not shown(os.environ[VISIBLE])


def shown(visible: str) -> list[str]:
    """The numbers and UUIDs in CUDA_VISIBLE_DEVICES, as CUDA reads it.

    It heeds nothing from a word on that names no device: "-1", a batch system's "NoDevFiles".
    """
    words = [word.strip() for word in visible.split(",")]
    return list(itertools.takewhile(lambda w: w.isdecimal() or w.startswith(UUIDS), words))


class _Seen(NamedTuple):
    torch: str = ""  # its version
    names: Sequence[str] = ()
    why: str = ""


def has_driver() -> bool:
    """Whether this machine has an NVIDIA driver, asked without it."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


@cache
def _seen(python: str) -> _Seen:
    # as nvidia-smi counts them, and as workers do (environment.py)
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
