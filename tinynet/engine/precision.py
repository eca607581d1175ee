"""Checks which arithmetic an engine can compute in, on which device."""

from __future__ import annotations

from tinynet.engine.discovery import Engine
from tinynet.errors import UsageError

PRECISIONS = ("float32", "tf32", "bf16")


def require_precision(precision: str, engine: Engine, gpu: int | None) -> None:
    """Raise UsageError if the engine, or the device (None: the CPU), lacks that arithmetic."""
    if precision == "float32":
        return
    if engine.name != "torch":
        raise UsageError(
            f"--precision {precision}: real Caffe computes in float32 only; use --engine torch"
        )
    if precision == "tf32" and gpu is None:
        raise UsageError(
            "--precision tf32: is the arithmetic of a GPU and does nothing on the CPU; "
            "leave it out, or give --gpu N"
        )
