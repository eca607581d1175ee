"""Explains in one line why a worker failed: by its message, a failed CHECK, a signal, its log."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

from tinynet import control_groups
from tinynet.engine.discovery import Engine


def explain_failure(
    engine: Engine,
    status: int,
    log: Iterable[str],
    error: str | None = None,
    kills_before: int | None = None,
) -> str:
    """Explain in one line why a worker failed.

    ``status``: its exit status, negative for a signal; ``log``: the last lines of its stderr;
    ``error``: the message of its ``error`` event, if it sent one; ``kills_before``: the value of
    ``control_groups.killed_for_memory()`` when it was started.
    """
    if error is not None:
        return _of_a_gpu(error) or error + _THREADS.get(error.partition(": ")[2], "")
    lines = [line for line in log if line.strip()]
    fatal = next((m[1] for line in reversed(lines) if (m := _FATAL.match(line))), None)
    if fatal is not None:
        for needle, advice in _ADVICE:
            if needle in fatal:
                return advice.format(python=engine.python, fatal=fatal)
        return f"{engine.name} gave up: {fatal}"
    if any("std::bad_alloc" in line for line in lines):
        return f"the worker ({engine.name}) is out of memory (std::bad_alloc)"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        hint = who_killed(kills_before) if name == "SIGKILL" else _SIGNAL_HINTS.get(name, "")
        return f"the worker ({engine.name}) was ended by {name}{hint}"
    last = lines[-1] if lines else "it said nothing"
    return f"the worker ({engine.name}) failed with status {status}: {last}"


def who_killed(kills_before: int | None) -> str:
    """The end of a message about a child killed by SIGKILL: who probably sent that signal.

    ``kills_before``: as in ``explain_failure``.
    """
    kills = control_groups.killed_for_memory()
    if kills is None or kills_before is None:
        return ": by someone, or because the system was out of memory"
    if kills == kills_before:
        return ", which someone sent: the kernel had memory left"
    limit = control_groups.memory_limit()
    shown = "" if limit is None else f" ({limit / 1e9:.3g} GB may be used here)"
    return f", since the system was out of memory{shown}"


def is_of_a_broken_gpu(message: str) -> bool:
    """Whether a failure's message says that the GPU itself does not work."""
    return _BROKEN_GPU.search(message) is not None


# a bad label, a lack of memory, or a failed connection of GPUs does not mean a broken GPU
_BROKEN_GPU = re.compile(
    r"(GPU \d+ cannot be used: |the GPU has failed \()"
    r"(?!.*(?:device-side assert|ALLOC_FAILED|out of memory|NCCL error))"
)


def _of_a_gpu(error: str) -> str:
    """Explain in one line an error of a GPU or its libraries in PyTorch; "" for other errors."""
    short = _GPU_SHORTAGE.match(error)
    if short is not None:
        asked = f" (asked for {short[1]})" if short[1] else ""
        return (
            f"the GPU is out of memory{asked}; make the batch smaller, or take a GPU that nobody "
            "else uses"
        )
    match = _GPU_ERROR.match(error)
    if match is None:
        return ""
    advice = next((advice for needle, advice in _GPU_ADVICE if needle in error), _GPU_LOST)
    return f"the GPU has failed ({match[1].rstrip('. ')}); {advice}"


_GPU_SHORTAGE = re.compile(
    r"OutOfMemoryError: CUDA out of memory(?:\. Tried to allocate ([\d.]+ \w+))?"
)
_GPU_ERROR = re.compile(
    r"\w+: ((?:CUDA error|CUDA driver error|cuDNN error|NCCL error|.*CU(?:BLAS|DNN)_STATUS_).*)"
)
_GPU_ADVICE = (
    (
        "device-side assert",
        "a label or an index may be out of its layer's range: run with --cpu to see which",
    ),
    ("no kernel image", "this PyTorch has no code for this GPU: install another build of torch"),
    ("ALLOC_FAILED", "it may be out of memory: nvidia-smi shows who else uses it"),
)
_GPU_LOST = "nvidia-smi and the kernel's log (Xid) say why; snapshots written before are whole"
_THREADS = {
    "can't start new thread": (
        "; a limit on processes (ulimit -u) or on memory (ulimit -v) is reached"
    )
}
_SIGNAL_HINTS = {
    "SIGBUS": "; a file that it reads, the LMDB perhaps, was cut short under it",
    "SIGXCPU": "; the limit on processor time is used up (see 'ulimit -t')",
    "SIGSEGV": "; a file that it reads, the LMDB perhaps, may be damaged",
}
_FATAL = re.compile(r"F\d{4,8} \S+ +\d+ (?:[^\]]+)\] (.*)")
_ADVICE = (
    (
        "Cannot use GPU in CPU-only Caffe",
        "this Caffe ({python}) is built for the CPU only; use --cpu, or the torch engine, or name "
        "a GPU build with --caffe-python",
    ),
    (
        "out of memory",
        "the GPU is out of memory ({fatal})",
    ),
)
