"""Starting a worker in an interpreter without our packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engine.worker.old_pythons import old_pythons
from tests.test_imports import worker_files
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WORKER, start_worker

# a solver of three iterations that writes glog lines, and a record of every call
STAND_IN = """
import json, os, sys
__version__ = "stand-in"
def _note(*call):
    with open(os.environ["CALLS"], "a") as file:
        file.write(json.dumps(call) + "\\n")
def set_device(number): _note("set_device", number)
def set_mode_gpu(): _note("set_mode_gpu")
def set_mode_cpu(): _note("set_mode_cpu")
class Net:
    blob_loss_weights = {}
    params = {}
    def copy_from(self, path): _note("copy_from", path)
class Solver:
    iter = 0
    net = Net()
    test_nets = []
    def step(self, n):
        assert n == 1
        self.iter += n
        print("printed by the engine itself")
    def solve(self): _note("solve", self.iter)
    def snapshot(self): _note("snapshot", self.iter)
    def restore(self, path): _note("restore", path); self.iter = 2
def get_solver(path):
    _note("get_solver", path)
    return Solver()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PYTHONPATH with a module ``caffe``; returns the file of recorded calls."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/caffe.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


class Done(NamedTuple):
    """A finished worker: its exit status, its events and its log."""

    returncode: int
    events: list[dict[str, Any]]
    log: str


def work(python: str, *arguments: str, control: bytes = b"") -> Done:
    """Run a worker on the stand-in; stdin stays open until it has ended."""
    engine = Engine("caffe", "caffe", python, "stand-in")
    received: list[dict[str, Any]] = []
    log: list[str] = []
    command = ["train", "s.prototxt", *arguments]
    with start_worker(
        engine, command, with_input=True, take_event=received.append, take_log=log.extend
    ) as worker:
        worker.send(control)
        return Done(worker.follow(), received, "\n".join(log))


def calls(path: Path) -> list[list[object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_gpu_is_set_before_the_solver_is_made_device_first(stand_in: Path) -> None:
    child = work(sys.executable, "--gpu", "3", "--max-iter", "3")
    assert child.returncode == 0, child.log
    assert calls(stand_in)[:3] == [
        ["set_device", 3],
        ["set_mode_gpu"],
        ["get_solver", "s.prototxt"],
    ]
    assert child.events[0]["device"] == "gpu 3"


def test_only_an_engine_that_can_name_its_gpu_is_asked_for_the_name(stand_in: Path) -> None:
    assert "gpu_name" not in work(sys.executable, "--gpu", "3", "--max-iter", "3").events[0]
    module = stand_in.parent / "modules/caffe.py"
    module.write_text(
        STAND_IN
        + """
class extensions:
    set_precision = staticmethod(lambda name: _note("set_precision", name))
    device_name = staticmethod(lambda: "Stand-in 3000")
    make_resumable = health = stop_when = staticmethod(lambda *a: None)
"""
    )
    for arguments, name in ((["--gpu", "3"], "Stand-in 3000"), ([], None)):
        child = work(sys.executable, *arguments, "--max-iter", "3")
        assert child.events[0].get("gpu_name") == name


def test_without_a_gpu_the_mode_is_cpu_and_no_device_is_touched(stand_in: Path) -> None:
    assert work(sys.executable, "--max-iter", "3").returncode == 0
    assert [c[0] for c in calls(stand_in)] == ["set_mode_cpu", "get_solver", "solve"]
    assert calls(stand_in)[-1] == ["solve", 3]  # Caffe's own last snapshot, display and test


def test_stdout_carries_only_events(stand_in: Path) -> None:
    child = work(sys.executable, "--max-iter", "3", "--net-name", "small")
    kinds = [event["event"] for event in child.events]
    assert (kinds[0], kinds[-1]) == ("engine", "done")
    assert "printed by the engine itself" in child.log
    assert "] Solving small\n" in child.log


def test_a_stop_leaves_a_snapshot_only_of_new_iterations(stand_in: Path) -> None:
    # stopped before the first iteration: there is nothing to save
    child = work(sys.executable, "--max-iter", "3", control=b"stop\n")
    assert child.returncode == 75
    assert child.events[-1] == {"event": "stopped", "iteration": 0}
    assert "snapshot" not in [c[0] for c in calls(stand_in)]


@pytest.fixture
def early_signal(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every interpreter sends itself the signal ``SIGNAL`` before it runs its own code."""
    (stand_in.parent / "modules/sitecustomize.py").write_text(
        "import os, signal\nos.kill(os.getpid(), getattr(signal, os.environ['SIGNAL']))\n"
    )


@pytest.mark.usefixtures("early_signal")
@pytest.mark.parametrize(
    ("name", "end", "status"),
    [("SIGTERM", "stopped", 75), ("SIGINT", "done", 0), ("SIGHUP", "done", 0)],
)
def test_a_signal_while_the_interpreter_starts_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str, status: int
) -> None:
    """A batch system sends it to all processes: SIGTERM stops the worker, the parent takes all."""
    monkeypatch.setenv("SIGNAL", name)
    child = work(sys.executable, "--max-iter", "3")
    assert (child.returncode, child.events[-1]["event"]) == (status, end), child.log


@pytest.mark.usefixtures("early_signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_while_the_interpreter_starts_ends_caffes_tool(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SIGNAL", name)
    engine = Engine("caffe", "caffe", sys.executable, "stand-in")
    with start_worker(engine, ["tool", "train"]) as worker:
        assert worker.follow() == -getattr(signal, name)


def test_restore_comes_after_the_weights_and_the_solving_line(stand_in: Path) -> None:
    arguments = ("--max-iter", "3", "--weights", "w.caffemodel", "--restore", "x.solverstate")
    child = work(sys.executable, *arguments)
    found = [c[0] for c in calls(stand_in)]
    assert found == ["set_mode_cpu", "get_solver", "copy_from", "restore", "solve"]
    assert {"event": "solving", "iteration": 2} in child.events


def test_an_exception_is_an_error_event_and_a_traceback_in_the_log(stand_in: Path) -> None:
    module = Path(os.environ["PYTHONPATH"]) / "caffe.py"
    module.write_text(STAND_IN.replace("assert n == 1", "raise ValueError('no such blob')"))
    child = work(sys.executable, "--max-iter", "3")
    assert child.returncode == 1
    assert child.events[-1] == {"event": "error", "message": "ValueError: no such blob"}
    assert "Traceback" in child.log


def test_a_module_that_is_not_pycaffe_is_refused_by_name(stand_in: Path) -> None:
    module = Path(os.environ["PYTHONPATH"]) / "caffe.py"
    module.write_text("")
    child = work(sys.executable, "--max-iter", "3")
    assert child.returncode == 1
    assert "is not pycaffe" in str(child.events[-1]["message"])


@pytest.mark.parametrize("python", old_pythons() or [None])
def test_the_worker_runs_under_an_old_python_without_our_packages(
    stand_in: Path, python: str | None
) -> None:
    if python is None:
        pytest.skip("no Python 3.6 to 3.9 on PATH or under ~/.pyenv/versions")
    child = work(python, "--max-iter", "3", "--gpu", "0")
    assert child.returncode == 0, child.log
    assert child.events[-1] == {"event": "done", "iteration": 3, "loss": 0.0}
    # every file that a worker may import compiles under the oldest interpreter
    code = "import sys\nfor p in sys.argv[1:]: compile(open(p, encoding='utf-8').read(), p, 'exec')"
    subprocess.run([python, "-c", code, *map(str, worker_files())], check=True)


def test_packages_of_this_interpreter_are_hidden_from_the_engines(stand_in: Path) -> None:
    """The worker's module path gains tinynet and nothing else from its folder."""
    module = Path(os.environ["PYTHONPATH"]) / "caffe.py"
    module.write_text(STAND_IN + "\n_note('path', sys.path)\n")
    child = work(sys.executable, "--max-iter", "3")
    assert child.returncode == 0
    ((_, path),) = [c for c in calls(stand_in) if c[0] == "path"]
    root = WORKER.parents[1]
    assert str(root) not in path and str(WORKER) not in path
