"""Importing the engine sets only the wait policy, and only if the user has not chosen one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
PROGRAM = """
import os, signal, sys
{before}
def process():
    signals = {{n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}}
    return dict(os.environ), signals, os.getcwd(), sys.path[:]
environment, *rest = process()
import tinynet.torchcaffe as caffe
net = 'input: "x" input_shape {{ dim: 1 }} layer {{ name: "y" type: "ReLU" bottom: "x" top: "y" }}'
open(sys.argv[1], "w").write(net)
caffe.Net(sys.argv[1], caffe.TEST).forward()
after, *others = process()
assert rest == others
print({{name: after.get(name) for name in {{**environment, **after}}
       if environment.get(name) != after.get(name)}})
"""


def run(tmp_path: Path, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in CHOICES}
    environment.update(PYTHONPATH=str(ROOT), **variables)
    program = PROGRAM.format(before=before)
    command = [sys.executable, "-c", program, str(tmp_path / "net.prototxt")]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return child


def test_the_engine_sets_only_the_wait_policy_and_torchs_runtime_uses_it(tmp_path: Path) -> None:
    child = run(tmp_path, OMP_DISPLAY_ENV="true")
    assert child.stdout == "{'OMP_WAIT_POLICY': 'passive'}\n"
    if "OPENMP DISPLAY ENVIRONMENT" in child.stderr:  # a runtime that prints its settings
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in child.stderr.replace("[host] ", "")


@pytest.mark.parametrize("name", CHOICES)
def test_a_wait_policy_that_the_user_has_chosen_is_kept(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, **{name: "active" if name == CHOICES[0] else "7"}).stdout == "{}\n"


def test_if_torch_is_already_imported_the_wait_policy_is_not_set(tmp_path: Path) -> None:
    assert run(tmp_path, before="import torch").stdout == "{}\n"
