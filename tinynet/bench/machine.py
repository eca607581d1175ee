"""Describes the machine on which a bench ran."""

from __future__ import annotations

from typing import Any

from tinynet.engine import devices, discovery
from tinynet.processor import affinity, processor


def machine(gpu: int | None = None) -> dict[str, Any]:
    """This machine in words: processor, cores that may be used, the GPU of that number."""
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
    here = processor()
    return {
        "processor": here.name,
        "cores": len(affinity()),
        "instructions": [word for word in known if word in here.instructions],
        "gpu": "" if gpu is None else _gpu_name(gpu),
    }


def _gpu_name(gpu: int) -> str:
    """The GPU's name in torch; its number where torch does not see it."""
    names = devices.cuda_devices(discovery.find_torch().python)
    return names[gpu] if gpu < len(names) else f"GPU {gpu}"
