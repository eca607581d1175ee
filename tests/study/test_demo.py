"""Every command of the demo runs, and Ctrl-C loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dataset.layouts import write_layout
from tinynet.run import snapshots
from tinynet.study import demo

pytest.importorskip("torch")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "tinynet", "demo", "small", *options]
    return subprocess.Popen(command, cwd=folder, **pipes)


def test_the_whole_demo_ends_with_its_table_and_leaves_its_figures(tmp_path: Path) -> None:
    write_layout(tmp_path / "small")
    child = start(tmp_path, "--iterations", "1")
    stdout, stderr = child.communicate()
    assert child.returncode == 0, stderr
    assert stdout.count("\n$ tinynet ") == 10
    assert "small: 3 classes, 12 training and 6 validation images; chance is 33.3 %" in stdout
    assert "was seen 1.33 times in stage 1, 1.33 times in stage 3; so few" in stdout
    named = [line.split(":")[1].strip() for line in stdout.splitlines()[-3:]]
    assert all(name.startswith("demo/results/") for name in named)
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in named)
    # another length is another demo; without one, this demo resumes
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    child = start(tmp_path, "--iterations", "2")
    stdout, stderr = child.communicate()
    assert (child.returncode, stdout) == (2, "") and stderr.count("\n") == 1
    assert "demo: holds a demo of 1 iterations, not of 2; leave out --max-iter" in stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert demo.lengths(demo.DemoPaths(tmp_path / "demo"), None) == {1: 1, 3: 1}
    assert demo.lengths(demo.DemoPaths(tmp_path / "elsewhere"), None) == demo.ITERATIONS


def test_a_demo_that_is_interrupted_keeps_what_was_trained_and_resumes(tmp_path: Path) -> None:
    write_layout(tmp_path / "small")
    child = start(tmp_path, "--iterations", "100000")
    run = tmp_path / "demo/runs/stage1_simple/seed1"
    history = run / "history.jsonl"
    while child.poll() is None and not (history.exists() and "train_loss" in history.read_text()):
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate()
    assert child.returncode == 75, stderr
    assert stderr.endswith(
        "tinynet: demo: stopped by SIGINT; the demo resumes from here when it is started again\n"
    )
    (snapshot,) = snapshots.snapshots(run / "snapshots")
    assert snapshots.fault(snapshot) is None
    child = start(tmp_path, "--iterations", "100000")
    assert child.stderr is not None
    resumed = any(f"resuming at iteration {snapshot.iteration}" in line for line in child.stderr)
    child.send_signal(signal.SIGTERM)
    child.communicate()
    assert resumed and child.returncode == 75
