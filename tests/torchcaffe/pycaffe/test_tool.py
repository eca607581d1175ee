"""Caffe's command line on the torch engine: the same runs, the same log."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.torchcaffe.test_solver_logs_against_caffe import (
    CAFFES_SOLVER_FILES,
    NET,
    SOLVE,
    SOLVER_FILES,
    SOLVERS,
    lines_of,
    lmdb,
    parse_log,
)
from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe
from tinynet.errors import UsageError
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.glog import set_level
from tinynet.torchcaffe.pycaffe import tool
from tinynet.torchcaffe.signals import SignalActions, SolverAction, action_of

pytestmark = pytest.mark.usefixtures("logged")

__all__ = ["lmdb", "parse_log"]  # fixtures

SOLVER = SOLVERS["plain"]


@pytest.fixture
def folder(lmdb: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the net and the solver, beside the LMDB."""
    folder = lmdb / re.sub(r"\W+", "_", request.node.name)
    folder.mkdir()
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(folder)
    return folder


def run(action: str, **flags: Any) -> tuple[int, str]:
    """Exit status and log of an action."""
    log = io.StringIO()
    try:
        with contextlib.redirect_stderr(log):
            status = tool.run(action, flags)
    finally:
        set_level(None)
    return status, log.getvalue()


def solver_lines(log: str) -> str:
    return lines_of(log, *CAFFES_SOLVER_FILES, *SOLVER_FILES)


def test_train_logs_what_real_caffes_solver_logs(
    folder: Path, caffe_python: str, parse_log: Any
) -> None:
    (folder / "real").mkdir()
    for name in ("net.prototxt", "solver.prototxt"):
        text = (folder / name).read_text().replace("../train_lmdb", "../../train_lmdb")
        (folder / "real" / name).write_text(text)
    real = in_real_caffe(caffe_python, SOLVE, folder / "real")
    status, log = run("train", solver="solver.prototxt")
    assert status == 0
    assert_says_the_same(solver_lines(real.log), solver_lines(log))
    own = lines_of(log, "tool.py").split("\n")
    assert own == ["Use CPU.", "Starting Optimization", "Optimization Done."]
    (folder / "log").write_text(log)
    train, test = parse_log(str(folder / "log"))
    assert [row["NumIters"] for row in train] == [0, 5, 10, 15]
    assert [row["NumIters"] for row in test] == [0, 10, 20]


def test_train_resumes_from_a_snapshot_or_from_weights(folder: Path) -> None:
    run("train", solver="solver.prototxt")
    _, log = run("train", solver="solver.prototxt", snapshot="small_iter_10.solverstate")
    assert "Resuming from small_iter_10.solverstate" in log
    assert [int(n) for n in re.findall(r"Iteration (\d+), Testing", log)] == [10, 20]
    _, log = run("train", solver="solver.prototxt", weights="small_iter_20.caffemodel")
    # both the training net and the test net load the weights
    assert log.count("Finetuning from small_iter_20.caffemodel") == 2
    assert [int(n) for n in re.findall(r"Iteration (\d+), Testing", log)] == [0, 10, 20]


SCORE = """
import caffe
caffe.set_mode_cpu()
net = caffe.Net("../net.prototxt", caffe.TEST, weights="../small_iter_20.caffemodel")
sums = dict.fromkeys(net.outputs, 0.0)
for batch in range(4):
    net.forward()
    for name in net.outputs:
        value = float(net.blobs[name].data)
        print("Batch %d, %s = %g" % (batch, name, value))
        sums[name] += value
print("Loss: %g" % (sums["loss"] / 4))
for name in net.outputs:
    weight = " (* 1 = %g loss)" % (sums[name] / 4) if name == "loss" else ""
    print("%s = %g%s" % (name, sums[name] / 4, weight))
"""


def test_test_scores_as_real_caffe_does(folder: Path, caffe_python: str) -> None:
    run("train", solver="solver.prototxt")
    net = folder / "net.prototxt"
    net.write_text(NET.replace("../train_lmdb", str(folder.parent / "train_lmdb")))
    real = in_real_caffe(caffe_python, SCORE, folder / "real")
    weights = "small_iter_20.caffemodel"
    status, log = run("test", model="net.prototxt", weights=weights, iterations=4)
    assert status == 0
    logged = lines_of(log, "tool.py").split("\n")
    assert logged[:2] == ["Use CPU.", "Running for 4 iterations."]
    assert_says_the_same(real.out, "\n".join(logged[2:]))


def test_time_lists_every_layer_forward_and_backward(folder: Path) -> None:
    status, log = run("time", model="net.prototxt", phase="TEST", iterations=2)
    assert status == 0
    logged = lines_of(log, "tool.py")
    layers = re.findall(r"^ *(\S+)\t(forward|backward): ([\d.e-]+) ms\.$", logged, re.M)
    names = ["data", "label_data_1_split", "fc1", "relu", "drop", "fc2", "fc2_fc2_0_split"]
    names += ["loss", "accuracy"]
    assert [layer[:2] for layer in layers] == [
        (name, way) for name in names for way in ("forward", "backward")
    ]
    assert all(float(ms) >= 0 for _, _, ms in layers)
    for line in ("Average Forward pass", "Average Backward pass", "Average Forward-Backward"):
        assert re.search(rf"^{line}: [\d.e+]+ ms\.$", logged, re.M)
    assert logged.count("forward-backward time:") == 2


def test_only_train_takes_a_list_of_weights(folder: Path) -> None:
    """Caffe's test treats the list as the name of one file, which it cannot open."""
    run("train", solver="solver.prototxt")
    weights = "small_iter_10.caffemodel,small_iter_20.caffemodel"
    _, log = run("train", solver="solver.prototxt", weights=weights)
    assert log.count("Finetuning from small_iter_10.caffemodel") == 2
    assert log.count("Finetuning from small_iter_20.caffemodel") == 2
    with pytest.raises(CaffeError, match=r"could not open file .*: test takes one file"):
        run("test", model="net.prototxt", weights=weights)


@pytest.mark.parametrize(
    ("action", "flags", "message"),
    [
        ("train", {}, "need a solver definition"),
        ("train", {"solver": "s", "snapshot": "a", "weights": "b"}, "but not both"),
        ("test", {"model": "m"}, "need model weights"),
        ("test", {"weights": "m"}, "need a model definition"),
        ("time", {}, "need a model definition"),
        ("time", {"model": "m", "phase": "DEPLOY"}, "TRAIN"),
        ("train", {"solver": "solver.prototxt", "gpu": "zero"}, "device numbers"),
        ("train", {"solver": "solver.prototxt", "gpu": "0,0"}, "its own GPU"),
        ("train", {"solver": "solver.prototxt", "solvers": 0}, "-solvers must be 1 or more"),
        ("train", {"solver": "solver.prototxt", "solvers": 3, "gpu": "0,1"}, "leave -solvers out"),
        ("train", {"solver": "solver.prototxt", "sighup_effect": "STOP"}, "signal effect"),
        ("test", {"model": "net.prototxt", "weights": "w", "iterations": 0}, "1 or more"),
        ("time", {"model": "net.prototxt", "iterations": -1}, "1 or more"),
    ],
)
def test_wrong_flags_are_usage_errors(
    action: str, flags: dict[str, str], message: str, folder: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run(action, **flags)


def test_all_gpus_on_a_machine_without_one_is_an_error_and_not_a_silent_use_of_the_cpu(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(CaffeError, match="no GPU"):
        run("train", solver="solver.prototxt", gpu="all")


def test_log_dir_receives_the_log_files_and_a_link_to_the_newest(folder: Path) -> None:
    (folder / "logs").mkdir()
    for _ in range(2):
        _, log = run("train", solver="solver.prototxt", log_dir="logs")
    link = folder / "logs" / "caffe.INFO"
    assert re.fullmatch(r"caffe\..+\..+\.log\.INFO\.\d{8}-\d{6}\.\d+", os.readlink(link))
    written = link.read_text()
    # other output on stderr, such as a Python warning, is not part of the log
    lines = [line for line in log.splitlines() if re.match(r"[IWEF]\d{4} ", line)]
    assert [line for line in written.splitlines() if line in lines] == lines
    assert written.startswith("Log file created at: ")
    assert not (folder / "logs" / "caffe.WARNING").exists()  # there was no warning


def test_if_log_dir_is_missing_training_runs_and_the_log_says_so(folder: Path) -> None:
    status, log = run("train", solver="solver.prototxt", log_dir="nowhere")
    assert status == 0
    assert "-log_dir nowhere: not a writable folder" in log
    assert "Optimization Done." in log


def test_a_final_snapshot_that_cannot_be_written_is_an_error_before_training(folder: Path) -> None:
    """Caffe notices only at the end if ``snapshot`` is not set."""
    text = re.sub(r"snapshot(_prefix)?: *\S+", "", SOLVER)
    (folder / "solver.prototxt").write_text(text + ' snapshot_prefix: "nowhere/small"')
    log = io.StringIO()
    with contextlib.redirect_stderr(log), pytest.raises(CaffeError, match="nowhere/small"):
        tool.run("train", {"solver": "solver.prototxt"})
    set_level(None)
    assert "Iteration 0" not in log.getvalue()


def test_each_log_file_holds_its_severity_and_those_above_it(tmp_path: Path) -> None:
    glog.write_files(tmp_path)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            glog.info("one")
            glog.warning("two")
            glog.error("three")
    finally:
        glog.write_files(None)
    for name, messages in (
        ("INFO", ["one", "two", "three"]),
        ("WARNING", ["two", "three"]),
        ("ERROR", ["three"]),
    ):
        lines = (tmp_path / f"caffe.{name}").read_text().splitlines()[3:]
        assert [line.split("] ")[1] for line in lines] == messages


def test_without_a_stage_flag_the_stage_is_the_empty_string_as_in_caffe(folder: Path) -> None:
    """A rule may then name the empty stage, and the log says which layers need another one."""
    _, log = run("time", model="net.prototxt", phase="TEST", iterations=1)
    assert 'state {\n  phase: TEST\n  level: 0\n  stage: ""\n}' in log
    assert "did not contain stage 'second' specified by a rule in layer top2" in log
    _, log = run("time", model="net.prototxt", phase="TEST", iterations=1, stage="first,second")
    assert '  stage: "first"\n  stage: "second"\n}' in log
    assert "NetState did not" not in log


@pytest.mark.parametrize("effect", ["stop", "snapshot", "none"])
def test_a_signal_requests_its_effect_once(effect: str) -> None:
    with SignalActions(action_of(effect), SolverAction.NONE) as actions:
        assert actions.next_action() is SolverAction.NONE
        os.kill(os.getpid(), signal.SIGINT)
        assert actions.next_action() is SolverAction(effect)
        assert actions.next_action() is SolverAction.NONE
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sighup_is_served_before_sigint() -> None:
    with SignalActions(SolverAction.STOP, SolverAction.SNAPSHOT) as actions:
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert [actions.next_action() for _ in range(3)] == [
            SolverAction.SNAPSHOT,
            SolverAction.STOP,
            SolverAction.NONE,
        ]


def test_unknown_signal_effects_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="stop, snapshot"):
        action_of("pause")
