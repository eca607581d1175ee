"""Finds the engines, the interpreters that they live in, and starts workers there.

An engine is an interpreter plus a module with pycaffe's API: ``tinynet.torchcaffe`` in this
interpreter, or the real ``caffe`` in whatever interpreter has it.  Nothing here imports either:
real Caffe is looked at in a child process, since it can abort the process that holds it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tinynet.engine.interpreters import PLACEHOLDER, probe_caffe
from tinynet.errors import TinynetError, UsageError

NAMES = ("auto", "caffe", "torch")
ENVIRONMENT_VARIABLE = "TINYNET_CAFFE_PYTHON"
VENV = ".venv-caffe"
WORKER = Path(__file__).parent / "worker"

GET_CAFFE = (
    "run scripts/setup_caffe.sh, or name an interpreter that has Caffe with --caffe-python or "
    f"{ENVIRONMENT_VARIABLE}"
)
GET_TORCH = "pip install 'tinynet[torch]'"


@dataclass(frozen=True)
class Engine:
    """An engine that was seen to work."""

    name: str  # "caffe" or "torch"
    module: str  # what a worker imports: "caffe" or "tinynet.torchcaffe"
    python: str  # interpreter, an absolute path
    version: str  # Caffe's or torch's

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.python})"


def _interpreter(given: str) -> str:
    """Absolute path of an interpreter given as a path, a command or a virtual environment.

    Symbolic links stay as they are: a virtual environment's interpreter is one.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        path = path / "bin" / "python"
    elif os.sep not in given:
        return shutil.which(given) or given
    return os.path.abspath(path)


def caffe_candidates(caffe_python: str | None = None) -> Iterator[tuple[str, str, bool]]:
    """Interpreters where real Caffe may live, in the order in which they are tried.

    Yields (interpreter, where it was named, whether a user named it).
    """
    if caffe_python is not None:
        yield _interpreter(caffe_python), "--caffe-python", True
        return
    if os.environ.get(ENVIRONMENT_VARIABLE):
        yield _interpreter(os.environ[ENVIRONMENT_VARIABLE]), ENVIRONMENT_VARIABLE, True
        return
    seen = set()
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        python = folder / VENV / "bin" / "python"
        if python.exists() and str(python) not in seen:
            seen.add(str(python))
            yield str(python), str(folder / VENV), False
    yield sys.executable, "this interpreter", False


def find_caffe(caffe_python: str | None = None) -> Engine:
    """The first real Caffe that works.

    Raises TinynetError if there is none, or if the one that a user named does not work.
    """
    placeholder = False
    for python, where, named in caffe_candidates(caffe_python):
        probe = probe_caffe(python)
        if probe.caffe is not None:
            return Engine("caffe", "caffe", python, probe.caffe)
        if named:
            raise TinynetError(
                f"{where} names {python}, which is not a Python that imports caffe: {probe.error}"
            )
        placeholder = placeholder or probe.placeholder is not None
    if placeholder:
        raise TinynetError(f"no real Caffe found: {PLACEHOLDER}")
    raise TinynetError(f"no real Caffe found; {GET_CAFFE}")


def find_torch() -> Engine:
    """The torch engine.  Raises TinynetError where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise TinynetError(f"the torch engine needs torch, which is not installed: {GET_TORCH}")
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return Engine("torch", "tinynet.torchcaffe", sys.executable, version)


def find(name: str = "auto", caffe_python: str | None = None) -> Engine:
    """The engine called ``name``: "caffe", "torch", or "auto" (torch where it is installed).

    Raises UsageError for another name, TinynetError with what to do where there is no engine.
    """
    if name == "torch":
        return find_torch()
    if name == "caffe":
        return find_caffe(caffe_python)
    if name != "auto":
        raise UsageError(f"no engine '{name}'; the engines are {', '.join(NAMES)}")
    try:
        return find_torch()
    except TinynetError:
        pass
    try:
        return find_caffe(caffe_python)
    except TinynetError as error:
        raise TinynetError(
            f"no engine found: {GET_TORCH} brings the torch engine; {error}"
        ) from None


def available() -> list[Engine]:
    """Every engine that works here, torch first."""
    engines = []
    for finder in (find_torch, find_caffe):
        try:
            engines.append(finder())
        except TinynetError:
            continue
    return engines


def start_worker(
    engine: Engine, arguments: Sequence[str | os.PathLike[str]], **popen: Any
) -> subprocess.Popen[bytes]:
    """Start a worker: ``arguments`` are its command (``train``, ``predict``) and that one's own.

    ``--engine MODULE`` is put in after the command.  The worker takes ``tinynet`` from this very
    package, and everything else from its own interpreter.  Pipes are the caller's to choose
    (``stdin=subprocess.PIPE`` and so on, passed to Popen): control or data on stdin, JSON events
    on stdout, the engine's glog lines on stderr.
    """
    command, *rest = (os.fspath(argument) for argument in arguments)
    environment = dict(popen.pop("env", None) or os.environ)
    # old glog writes INFO to files unless told otherwise; the log must come to us whole
    environment.update(GLOG_logtostderr="1", GLOG_minloglevel="0", PYTHONUNBUFFERED="1")
    return subprocess.Popen(
        [engine.python, str(WORKER), command, "--engine", engine.module, *rest],
        env=environment,
        **popen,
    )


def become_script(engine: Engine, script: str, arguments: Sequence[str]) -> NoReturn:
    """Let a user's script, run by the engine, take over this process: it never returns.

    The script has this process's streams, environment, signals and number, and its exit status.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = [engine.python, str(WORKER), "script", "--engine", engine.module]
    os.execv(engine.python, [*command, "--", script, *arguments])


def error_in(events: Iterable[bytes]) -> str | None:
    """The message of the ``error`` event in a worker's stdout; lines that are no events are left.

    Reads a stream to its end.
    """
    message = None
    for line in events:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if event.get("event") == "error":
                message = str(event.get("message"))
    return message


def explain_failure(
    engine: Engine, status: int, log: Iterable[str], error: str | None = None
) -> str:
    """One line on why a worker failed.

    ``status``: its exit status, negative for a signal; ``log``: the last lines of its stderr;
    ``error``: the message of its ``error`` event, where it sent one.
    """
    if error is not None:
        return error
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
        hint = _SIGNAL_HINTS.get(name, "")
        return f"the worker ({engine.name}) was ended by {name}{hint}"
    last = lines[-1] if lines else "it said nothing"
    return f"the worker ({engine.name}) failed with status {status}: {last}"


_SIGNAL_HINTS = {
    "SIGKILL": "; the system may be out of memory",
    "SIGBUS": "; a file that it reads, the LMDB perhaps, was cut short under it",
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


PRECISIONS = ("float32", "tf32", "bf16")


def require_precision(precision: str, engine: Engine, gpu: int | None) -> None:
    """Raise UsageError where the engine, or the device (None: the CPU), has no such arithmetic."""
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


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16; True where the system does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return "bf16" in flags  # avx512_bf16, amx_bf16, and bf16 on ARM
