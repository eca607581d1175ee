"""A child in a new session has its parent's nice value in its autogroup."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this system has no autogroups"
)

_WORKER = """
from pathlib import Path
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess

engine = Engine("torch", "tinynet.torchcaffe", "python", "0")
with WorkerProcess(engine, ["sleep", "60"], own_session={own}) as worker:
    print(Path(f"/proc/{{worker.pid}}/autogroup").read_text())
"""
_JOB = """
from pathlib import Path
from tinynet.jobs import children

job = children.start(["--version"], None)
print(Path(f"/proc/{job.pid}/autogroup").read_text())
job.communicate()
"""


def autogroup_of(program: str, nice: int) -> list[str]:
    """The autogroup of a child, "/autogroup-N nice M", of a program with a nice value.

    The program leads a session itself, so that the value of the tests' own is not asked.
    """
    child = subprocess.run(
        ["nice", "-n", str(nice), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.split()[:3]


@pytest.mark.parametrize("program", [_WORKER.format(own=True), _JOB], ids=["worker", "job"])
def test_a_new_session_gets_the_nice_value_of_its_parent(program: str) -> None:
    assert autogroup_of(program, 19)[1:] == ["nice", "19"]


def test_a_shared_session_keeps_its_nice_value() -> None:
    assert autogroup_of(_WORKER.format(own=False), 19)[1:] == ["nice", "0"]
