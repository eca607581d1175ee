"""One process per run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinynet.errors import TinynetError
from tinynet.run import lock
from tinynet.run.paths import RunPaths

HOLD = """
import sys
from tinynet.run.paths import RunPaths
from tinynet.run import lock
with lock.hold(RunPaths(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_a_second_process_is_refused_and_told_who_holds_the_run(tmp_path: Path) -> None:
    child = hold_elsewhere(tmp_path)
    try:
        for _ in range(2):  # asking must not wipe out the answer
            with (
                pytest.raises(TinynetError, match=f"process {child.pid} on {os.uname().nodename}"),
                lock.hold(RunPaths(tmp_path)),
            ):
                pass
    finally:
        child.kill()
        child.communicate()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    child = hold_elsewhere(tmp_path)
    child.kill()
    child.communicate()
    with lock.hold(RunPaths(tmp_path)):
        pass
