"""On what a bench was run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tinynet.engine import devices, engines


def machine(gpu: int | None = None) -> dict[str, Any]:
    """This machine in words: processor, cores that may be used, the GPU of that number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, instructions = "", []
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
            instructions = [word for word in known if word in value.split()]
    return {
        "processor": name,
        "cores": cores,
        "instructions": instructions,
        "gpu": "" if gpu is None else _gpu_name(gpu),
    }


def _gpu_name(gpu: int) -> str:
    """As torch names it; its number where no driver's tool is at hand to ask for."""
    names = devices.cuda_devices(engines.find_torch().python)
    return names[gpu] if gpu < len(names) else f"GPU {gpu}"
