"""Processes that tests start end with them."""

from __future__ import annotations

import select
import subprocess
import sys

import pytest

KILLED = """
import os, time
from tests import children
children.start(["sleep", "600"], environment=os.environ, stdout=None)
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_process_ends_when_the_test_process_is_killed() -> None:
    tests = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    with tests:
        assert tests.stdout is not None and tests.stdout.readline() == b"started\n"
        tests.kill()
        # the pipe ends when no process holds its writing end any more
        assert select.select([tests.stdout], [], [], 60)[0] and tests.stdout.read() == b""
