"""One script of a Caffe user, run unchanged by real Caffe and by this engine."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tinynet.torchcaffe.pycaffe.as_caffe import MODULES, install_as_caffe


@dataclass
class Said:
    """What a script printed, and what the engine logged meanwhile (on stderr)."""

    out: str
    log: str


def in_real_caffe(python: str, script: str, folder: Path, **modules: str) -> Said:
    """Run ``script`` in ``folder`` with the interpreter ``python``; ``modules`` lie beside it."""
    path = _write(folder, script, modules)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH",)}
    environment.update(GLOG_minloglevel="0", GLOG_logtostderr="1", OMP_NUM_THREADS="1")
    child = subprocess.run(
        [python, "-W", "ignore", str(path)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    # newer releases of glog put a year before the date, which Caffe's own tools cannot read
    return Said(child.stdout, re.sub(r"^([IWEF])\d{4}(\d{4} )", r"\1\2", child.stderr, flags=re.M))


def in_torchcaffe(script: str, folder: Path, **modules: str) -> Said:
    """Run ``script`` in ``folder`` in this process, as ``__main__``; caffe is this engine."""
    path = _write(folder, script, modules)
    out, log = io.StringIO(), io.StringIO()
    others = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
    process = pytest.MonkeyPatch()
    process.chdir(folder)
    process.syspath_prepend(folder)
    process.setenv("GLOG_minloglevel", "0")
    try:
        with as_caffe(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        process.undo()
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(others)
    return Said(out.getvalue(), log.getvalue())


@contextlib.contextmanager
def as_caffe() -> Iterator[None]:
    """Make ``import caffe`` mean this engine within the block."""
    before = {name: sys.modules.get(name) for name in MODULES}
    install_as_caffe()
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _write(folder: Path, script: str, modules: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"user_script": script, **modules}.items():
        (folder / f"{name}.py").write_text(text)
    return folder / "user_script.py"


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)")


def assert_says_the_same(real: str, ours: str, tolerance: float = 1e-4) -> None:
    """Assert equal lines and words; numbers up to ``tolerance`` (relative, absolute below 1)."""
    expected, found = real.splitlines(), ours.splitlines()
    for line_of_real, line_of_ours in zip(expected, found):
        assert _NUMBER.sub("#", line_of_ours) == _NUMBER.sub("#", line_of_real), line_of_ours
        np.testing.assert_allclose(
            [float(n) for n in _NUMBER.findall(line_of_ours)],
            [float(n) for n in _NUMBER.findall(line_of_real)],
            rtol=tolerance,
            atol=tolerance,
            err_msg=line_of_real,
        )
    assert len(found) == len(expected)
    assert expected, "the script printed nothing: nothing was compared"
