"""Finds the engines and their interpreters.

An engine is an interpreter plus a module with pycaffe's API: ``tinynet.torchcaffe`` in this
interpreter, or the real ``caffe`` in whatever interpreter has it.  This module imports neither:
real Caffe is probed in a child process, since it can abort the process that imports it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinynet.engine.interpreters import PLACEHOLDER, probe_caffe
from tinynet.errors import TinynetError, UsageError

NAMES = ("auto", "caffe", "torch")
ENVIRONMENT_VARIABLE = "TINYNET_CAFFE_PYTHON"
VENV = ".venv-caffe"

GET_TORCH = "pip install torch"
SET_UP_CAFFE = Path(__file__).resolve().parents[2] / "scripts" / "setup_caffe.sh"  # in a checkout


@dataclass(frozen=True)
class Engine:
    """An engine that was found to work."""

    name: str  # "caffe" or "torch"
    module: str  # what a worker imports: "caffe" or "tinynet.torchcaffe"
    python: str  # interpreter, an absolute path
    version: str  # Caffe's or torch's

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.python})"


def _interpreter(given: str) -> str:
    """Absolute path of an interpreter given as a path, a command or a virtual environment.

    Symbolic links are not resolved: a virtual environment's interpreter is one.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        path = path / "bin" / "python"
    elif os.sep not in given:
        return shutil.which(given) or given
    return os.path.abspath(path)


def caffe_candidates(caffe_python: str | None = None) -> Iterator[tuple[str, str, bool]]:
    """Yield the interpreters that may have real Caffe, in the order in which they are tried.

    Each as (interpreter, where it was named, whether a user named it).
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


def how_to_get_caffe() -> str:
    """How the user can install real Caffe; the set-up script exists only in a checkout."""
    if SET_UP_CAFFE.exists():
        script = os.path.relpath(SET_UP_CAFFE)
        way = f"run {SET_UP_CAFFE if script.startswith(os.pardir) else script}"
    else:
        way = (
            f"with a Python 3.6 to 3.9: python3.9 -m venv {VENV} && {VENV}/bin/pip install "
            "kendryte-caffe 'numpy<2' 'protobuf<3.21'"
        )
    return (
        f"{way}; or name an interpreter that has Caffe with --caffe-python or "
        f"{ENVIRONMENT_VARIABLE}"
    )


def find_caffe(caffe_python: str | None = None) -> Engine:
    """Find the first real Caffe that works.

    Raises TinynetError if there is none, or if the one that the user named does not work.
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
    raise TinynetError(f"no real Caffe found; {how_to_get_caffe()}")


def find_torch() -> Engine:
    """Find the torch engine.  Raises TinynetError if torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise TinynetError(f"the torch engine needs torch, which is not installed: {GET_TORCH}")
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return Engine("torch", "tinynet.torchcaffe", sys.executable, version)


def find(name: str = "auto", caffe_python: str | None = None) -> Engine:
    """Find the engine ``name``: "caffe", "torch", or "auto" (torch if it is installed).

    Raises UsageError for another name, TinynetError with what to do if there is no engine.
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
