"""A warm-up solver beside the solver trains first, within the same run, in both engines."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests import children
from tests.run import small_runs
from tests.run.small_runs import RUN, Trained, environment, history, last_line, record, train
from tinynet.caffeformat import binary, schema

LENGTH = 6  # iterations: one epoch, so that Caffe's tool, which begins the data anew, agrees
LAST = "snapshots/snapshot_iter_24.caffemodel"


def warm_up(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the warm-up of the small solver: the rate starts at 0.1 / 6 and rises by as much."""
    content = (folder / "small/solver.prototxt").read_text()
    own = f'base_lr: {0.1 / LENGTH}\nlr_policy: "inv"\ngamma: 1\npower: -1'
    for old, new in (
        ('base_lr: 0.1\nlr_policy: "fixed"', own),
        ("max_iter: 24", f"max_iter: {LENGTH}"),
        *changes,
    ):
        assert old in content
        content = content.replace(old, new)
    path = folder / "small/warm_up_solver.prototxt"
    path.write_text(content)
    return path


def weights(folder: Path, run: Path = RUN) -> list[np.ndarray]:
    net = binary.read(folder / run / LAST, schema.NetParameter)
    return [np.array(blob.data) for layer in net.layer for blob in layer.blobs]


@pytest.fixture(scope="module")
def warmed_up(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """``warmed_up(engine, folder)``: ``folder`` with a finished run that had a warm-up in it.

    Trained once per engine and copied, with what it wrote to stderr in ``stderr``.
    """
    originals: dict[str, Path] = {}

    def copy(engine: str, folder: Path) -> Path:
        if engine not in originals:
            originals[engine] = original = tmp_path_factory.mktemp(engine)
            small_runs.write_files(original)
            solver = original / "small/solver.prototxt"
            solver.write_text(solver.read_text().replace("display: 4", "display: 1"))
            warm_up(original)
            options = ("--engine", engine, "--cpu", "--keep", "0", "--snapshot", "3")
            child = train(original, *options)
            assert child.returncode == 0, child.stderr
            (original / "stderr").write_text(child.stderr)
        shutil.copytree(originals[engine], folder, dirs_exist_ok=True)
        return folder

    return copy


def test_the_rate_rises_then_the_solver_resumes_in_one_run(
    warmed_up: Trained, tmp_path: Path, engine: str
) -> None:
    folder = warmed_up(engine, tmp_path)
    assert "warming up to iteration 6 of 24" in (folder / "stderr").read_text()
    rates = {r["iteration"]: r["lr"] for r in history(folder) if "lr" in r}
    expected = [0.1 * (i + 1) / LENGTH for i in range(LENGTH)] + 18 * [0.1]
    assert [rates[i] for i in range(24)] == pytest.approx(expected, rel=1e-5)
    iterations = [r["iteration"] for r in history(folder)]
    assert iterations == sorted(set(iterations))  # none twice where one solver follows the other
    sessions = record(folder)["sessions"]
    assert [(s["from"], s["to"], s["solver"]) for s in sessions] == [
        (0, 6, "warm_up_solver.prototxt"),
        (6, 24, "solver.prototxt"),
    ]
    assert "warm_up_solver.prototxt" in record(folder)["hashes"]
    again = train(folder, "--engine", engine, "--cpu", "--snapshot", "3")
    assert again.returncode == 0 and "is finished" in again.stderr


def test_a_warm_up_does_what_caffes_own_tool_does_with_the_two_files(
    warmed_up: Trained, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    folder = warmed_up("torch", tmp_path)
    state = f"small/snapshot_iter_{LENGTH}.solverstate"
    for options in (
        ("--solver=small/warm_up_solver.prototxt",),
        ("--solver=small/solver.prototxt", f"--snapshot={state}"),
    ):
        tool = subprocess.run(
            [sys.executable, "-m", "tinynet", "caffe", "train", *options],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert tool.returncode == 0, tool.stderr
    net = binary.read(folder / "small/snapshot_iter_24.caffemodel", schema.NetParameter)
    theirs = [np.array(blob.data) for layer in net.layer for blob in layer.blobs]
    assert all((a == b).all() for a, b in zip(weights(folder), theirs))


def test_a_warm_up_is_the_same_in_both_engines(
    warmed_up: Trained, tmp_path: Path, caffe_python: str
) -> None:
    pytest.importorskip("torch")
    found = [weights(warmed_up(engine, tmp_path / engine)) for engine in ("caffe", "torch")]
    for mine, theirs in zip(*found):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_signal_in_the_last_test_of_a_warm_up_stops_the_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    small_runs.write_files(tmp_path)
    solver = tmp_path / "small/solver.prototxt"
    # a test takes a second
    solver.write_text(solver.read_text().replace("test_iter: 2\n", "test_iter: 500\n"))
    warm_up(tmp_path)
    command = small_runs.command("small/solver.prototxt", "--engine", "torch", "--cpu")
    child = children.start(command, tmp_path, environment=environment())
    while not (tmp_path / RUN / f"snapshots/snapshot_iter_{LENGTH}.solverstate").exists():
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)  # the test follows the snapshot
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate()
    assert child.returncode == 75, errors
    stopped = record(tmp_path)
    assert [each["to"] for each in stopped["sessions"]] == [LENGTH]
    assert (stopped["state"], stopped["message"]) == ("stopped", "stopped by SIGTERM")


@pytest.mark.parametrize("lost", [3, 9])  # within the warm-up, and behind it
def test_an_interrupted_warm_up_resumes_exactly(
    warmed_up: Trained, tmp_path: Path, lost: int
) -> None:
    pytest.importorskip("torch")
    folder = warmed_up("torch", tmp_path)
    whole = (folder / RUN / LAST).read_bytes()
    before = history(folder)
    # as after a kill
    for path in (folder / RUN / "snapshots").iterdir():
        if int(path.name.split("_")[2].split(".")[0]) > lost:
            path.unlink()
    content = record(folder)
    (folder / RUN / "run.json").write_text(json.dumps({**content, "state": "running"}))
    moved = folder / "runs/small/moved"
    shutil.move(folder / RUN, moved)
    child = train(folder, "runs/small/moved", "--engine", "torch", "--cpu")
    assert child.returncode == 0, child.stderr
    assert f"resuming at iteration {lost}" in child.stderr
    assert ("warming up" in child.stderr) == (lost < LENGTH)
    assert (moved / LAST).read_bytes() == whole
    losses = [(r["iteration"], r["train_loss"]) for r in before if "train_loss" in r]
    again = [r for r in history(folder, Path("runs/small/moved")) if "train_loss" in r]
    assert [(r["iteration"], r["train_loss"]) for r in again] == losses


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (("momentum: 0.9", "momentum: 0.5"), (), "differs from solver.prototxt in momentum"),
        (("display: 4", "display: 4"), ("--set", "base_lr=0.2"), "would not follow"),
        (("display: 4", "display: 4"), ("--max-iter", "6"), "is 6 iterations long"),
    ],
)
def test_a_warm_up_that_does_not_fit_is_refused_in_one_line(
    folder: Path, change: tuple[str, str], options: tuple[str, ...], says: str
) -> None:
    warm_up(folder, change)
    child = train(folder, "--cpu", *options)
    assert child.returncode in (1, 2) and says in last_line(child)
    assert child.stderr.count("\n") == 1 and not (folder / "runs").exists()


def test_a_run_whose_warm_up_was_added_removed_or_changed_is_refused(
    warmed_up: Trained, trained: Trained, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    folder = warmed_up("torch", tmp_path)
    file = folder / "small/warm_up_solver.prototxt"
    options = ("--engine", "torch", "--cpu", "--snapshot", "3")
    file.write_text(file.read_text().replace("gamma: 1", "gamma: 0.5"))
    changed = train(folder, *options)
    assert changed.returncode == 1 and "the warm-up's gamma 1 -> 0.5" in last_line(changed)
    file.unlink()
    gone = train(folder, *options)
    assert gone.returncode == 1 and "a warm-up was left out" in last_line(gone)
    plain = trained("torch", tmp_path / "plain")
    warm_up(plain)
    come = train(plain, "--engine", "torch")
    assert come.returncode == 1 and "a warm-up was added" in last_line(come)
    # lengths and intervals may still change, as in any run
    warm_up(folder)
    (folder / RUN).rename(folder / "runs/small/longer")
    longer = ("--name", "longer", "--resume", "--max-iter", "30", "--snapshot", "5")
    assert train(folder, "--engine", "torch", "--cpu", *longer).returncode == 0
