"""``tinynet caffe`` accepts Caffe's flags in every form; signals have the requested effects."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests import children
from tinynet.caffeformat import binary, schema
from tinynet.cli.caffe import caffe
from tinynet.engine import foreground

ROOT = Path(__file__).parent.parent.parent
NET = """
name: "endless" input: "data" input_shape { dim: 2 dim: 3 }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "fc" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 100000000 display: 500
snapshot_prefix: "endless"
"""


@pytest.fixture
def solver_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty ``s.prototxt`` in the working directory; nothing reads it, but it must exist."""
    (tmp_path / "s.prototxt").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("solver_file")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "-solver", "s.prototxt", "-gpu", "0", "-iterations", "7"],
        ["train", "--solver", "s.prototxt", "--gpu", "0", "--iterations", "7"],
        ["train", "-solver=s.prototxt", "-gpu=0", "-iterations=7"],
        ["train", "--solver=s.prototxt", "--gpu=0", "--iterations=7"],
        ["--solver=s.prototxt", "-gpu", "0", "train", "-iterations", "7"],
        ["train", "-solver", "s.prototxt", "-gpu=0", "--iterations", "7", "-logtostderr=1"],
        ["-logtostderr", "--solver=s.prototxt", "--v=2", "-gpu", "0", "train", "-iterations=7"],
        ["-logtostderr", "train", "--solver=s.prototxt", "-v", "2", "-gpu", "0", "-iterations=7"],
        ["train", "-solver", "s.prototxt", "-gpu", "0", "-iterations", "7", "-max_log_size", "9"],
        ["--noalsologtostderr", "train", "-solver=s.prototxt", "-gpu=0", "--iterations=7"],
    ],
)
def test_every_form_of_a_flag_means_the_same(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Sequence[str]] = []

    def run(engine: Any, arguments: Sequence[str]) -> int:
        given.append(arguments)
        return 0

    monkeypatch.setattr(foreground, "run", run)
    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    result = CliRunner().invoke(caffe, arguments)
    assert result.exit_code == 0, result.output
    command, action, flag, value = given[0]
    assert (command, action, flag) == ("tool", "train", "--flags")
    expected = {"solver": "s.prototxt", "gpu": "0", "iterations": 7, "minloglevel": 0}
    assert json.loads(value) == expected


@pytest.mark.usefixtures("solver_file")
@pytest.mark.parametrize(
    ("arguments", "variables", "folder"),
    [
        (["-log_dir=logs"], {}, "logs"),
        ([], {"GLOG_log_dir": "logs", "GLOG_logtostderr": "0"}, "logs"),
        (["--log_dir", "mine"], {"GLOG_log_dir": "logs"}, "mine"),
        (["-log_dir=logs", "-logtostderr"], {}, None),
        (["-log_dir=logs"], {"GLOG_logtostderr": "1"}, None),
        (["-log_dir=logs", "-nologtostderr"], {"GLOG_logtostderr": "1"}, "logs"),
        ([], {}, None),
    ],
)
def test_log_files_are_written_where_glog_would_write_them(
    arguments: list[str],
    variables: dict[str, str],
    folder: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Sequence[str]] = []
    monkeypatch.setattr(foreground, "run", lambda engine, arguments: given.append(arguments) or 0)
    for name in ("GLOG_log_dir", "GLOG_logtostderr"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(caffe, ["train", "-solver=s.prototxt", *arguments])
    assert result.exit_code == 0, result.output
    assert json.loads(given[0][3]).get("log_dir") == folder


def start(folder: Path, *arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    environment = {k: v for k, v in os.environ.items() if k != "GLOG_minloglevel"}
    environment["PYTHONPATH"] = str(ROOT)
    return children.start(
        [sys.executable, "-m", "tinynet", "caffe", *arguments],
        folder,
        environment=environment,
        terminal=terminal,
    )


def wait_for(process: subprocess.Popen[str], pattern: str) -> str:
    """Read the log up to the line that matches ``pattern``, and return that line."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line matched {pattern}: {''.join(seen[-20:])}")


@pytest.mark.parametrize(
    ("effects", "saves", "stops"),
    [
        ((), signal.SIGHUP, signal.SIGINT),
        (("-sigint_effect=snapshot", "-sighup_effect", "stop"), signal.SIGINT, signal.SIGHUP),
    ],
    ids=["as Caffe's defaults", "as asked for"],
)
def test_one_signal_snapshots_and_one_stops_with_a_snapshot_to_resume_from(
    effects: tuple[str, ...], saves: int, stops: int, tmp_path: Path
) -> None:
    process = start(tmp_path, "train", "-solver=solver.prototxt", *effects)
    wait_for(process, r"Iteration 500 ")
    process.send_signal(saves)
    line = wait_for(process, r"Snapshotting solver state")
    first = re.search(r"endless_iter_(\d+)\.solverstate", line)
    wait_for(process, r"Iteration \d+ ")  # it resumes
    process.send_signal(stops)
    line = wait_for(process, r"Snapshotting solver state")
    last = re.search(r"endless_iter_(\d+)\.solverstate", line)
    wait_for(process, "Optimization stopped early")
    process.communicate()
    assert process.returncode == 75
    assert first is not None and last is not None
    assert int(first[1]) < int(last[1])
    state = binary.read(tmp_path / last[0], schema.SolverState)
    assert state.iter == int(last[1])


def test_a_closed_terminal_is_a_signal_and_not_a_failure(tmp_path: Path) -> None:
    ours, terminal = os.openpty()
    process = start(tmp_path, "train", "-solver=solver.prototxt", terminal=terminal)
    os.close(terminal)
    shown = b""
    while b"Iteration 500 " not in shown:
        shown += os.read(ours, 1 << 16)
    os.close(ours)
    while not list(tmp_path.glob("*.solverstate")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)  # it resumes, and tries to log
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 75
    assert len(list(tmp_path.glob("*.solverstate"))) == 2


@pytest.mark.parametrize(
    ("number", "action"),
    [
        (signal.SIGINT, "time"),
        (signal.SIGHUP, "test"),
        (signal.SIGTERM, "train"),
    ],
)
def test_a_signal_that_caffe_does_not_handle_ends_the_program(
    number: int, action: str, tmp_path: Path
) -> None:
    """As with Debian's program, a shell sees 128 plus the number of the signal."""
    (tmp_path / "weights").touch()
    files = {
        "train": ["-solver=solver.prototxt"],
        "test": ["-model=net.prototxt", "-weights=weights"],
        "time": ["-model=net.prototxt"],
    }
    process = start(tmp_path, action, *files[action], "-iterations=100000000")
    wait_for(process, r"Iteration|Batch 1,")
    process.send_signal(number)
    assert process.stderr is not None
    *_, last = process.stderr.read().splitlines()
    assert process.wait(timeout=60) == 128 + number
    assert last in ("tinynet: interrupted", f"tinynet: ended by {signal.Signals(number).name}")


def test_a_mistake_gets_one_line_and_exit_status_1_or_2(tmp_path: Path) -> None:
    for arguments, status, message in (
        (["train"], 2, "need a solver definition"),
        (["train", "-solver", "nowhere.prototxt"], 1, "nowhere.prototxt: -solver names no file"),
        (["test", "-model=net.prototxt", "-weights=a,b"], 1, "test takes one file"),
        (
            ["test", "-model", "net.prototxt", "-weights", "nowhere"],
            1,
            "could not open file nowhere",
        ),
    ):
        process = start(tmp_path, *arguments, "-minloglevel=2")
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
        assert process.wait() == status
        assert len(lines) == 1, lines
        assert lines[0].startswith("tinynet: ")
        assert message in lines[0]
