"""A command that a signal ends cleans up first, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, signal, sys, tempfile, time
import click
from tinynet.cli import doctor
from tinynet.cli.main import main

@click.command()
def waiting():
    with tempfile.TemporaryDirectory():
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(60)

doctor.doctor = waiting
main(["doctor"])
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_a_command_leaves_no_temporary_folder(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    child = subprocess.run(
        [sys.executable, "-c", CODE, str(int(number))],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert child.returncode == 128 + number
    assert child.stderr == f"tinynet: ended by {name}\n"
    assert os.listdir(tmp_path) == []
