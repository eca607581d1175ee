"""Which device an engine works on: chosen, and tried before anything rests on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tinynet.engine.discovery import Engine
from tinynet.engine.interpreters import ask
from tinynet.engine.process import start_worker


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
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return []
    code = (
        "import json, torch; c = torch.cuda; "
        "print(json.dumps([c.get_device_name(i) for i in range(c.device_count())]"
        " if c.is_available() else []))"
    )
    try:
        return list(json.loads(ask([python, "-c", code]).stdout))
    except (TypeError, ValueError):
        return []
