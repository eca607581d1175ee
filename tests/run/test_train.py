"""``tinynet train`` as a user runs it, on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.run.small_runs import RUN, Trained, history, record, train


def test_a_run_directory_holds_the_documented_files(
    trained: Trained, engine: str, tmp_path: Path
) -> None:
    trained(engine, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["state"], summary["iteration"], summary["engine"]) == ("finished", 24, engine)
    assert summary["snapshot"] == str(RUN / "snapshots/snapshot_iter_24.caffemodel")
    names = {path.name for path in (tmp_path / RUN).iterdir()}
    expected = {"train_val.prototxt", "solver.prototxt", "run.json", "train.log", "history.jsonl"}
    assert expected | {"snapshots"} <= names
    states = {path.name for path in (tmp_path / RUN / "snapshots").glob("*.solverstate")}
    assert states == {f"snapshot_iter_{n}.solverstate" for n in (8, 16, 24)}
    run = record(tmp_path)
    assert (run["engine"]["name"], run["seed"], run["effective_batch"]) == (engine, 7, 10)
    assert [entry["path"] for entry in run["data"]] == ["data/train_lmdb", "data/val_lmdb"]


def test_history_has_every_display_and_test_and_a_test_of_the_final_weights(
    trained: Trained, engine: str, tmp_path: Path
) -> None:
    trained(engine, tmp_path)
    records = {entry["iteration"]: entry for entry in history(tmp_path)}
    assert sorted(records) == [0, 4, 8, 10, 12, 16, 20, 24]
    assert [n for n in records if "train_loss" in records[n]] == [0, 4, 8, 12, 16, 20, 24]
    # 24 is no multiple of test_interval: the worker tests at the end nonetheless
    assert [n for n in records if "val_accuracy" in records[n]] == [0, 10, 20, 24]
    assert all(records[n]["lr"] == pytest.approx(0.1) for n in (0, 4, 8, 12, 16, 20))
    assert records[24]["train_loss"] < records[0]["train_loss"]


def test_the_summary_has_the_loss_of_the_last_iteration_even_if_not_displayed(
    folder: Path, engine: str
) -> None:
    summaries = {}
    for display in (4, 1):  # of iterations 0 to 5 the last is displayed, or is not
        done = train(
            *(folder, "--engine", engine, "--cpu", "--json", "--max-iter", "6"),
            *("--set", f"display={display}", "--name", f"every{display}"),
        )
        summaries[display] = json.loads(done.stdout)
    records = history(folder, Path("runs/small/every1"))
    assert [r["iteration"] for r in records if "train_loss" in r][-1] >= 5
    last = next(record for record in records if record["iteration"] == 5)
    assert summaries[4]["train_loss"] == pytest.approx(last["train_loss"], rel=1e-5)
    displayed = history(folder, Path("runs/small/every4"))
    assert summaries[4]["train_loss"] not in [r.get("train_loss") for r in displayed]


def test_both_engines_write_the_same_history_from_the_same_weights(
    trained: Trained, tmp_path: Path
) -> None:
    trained("caffe", tmp_path)
    start = str(RUN / "snapshots/snapshot_iter_8.caffemodel")
    for engine in ("caffe", "torch"):
        child = train(tmp_path, "--engine", engine, "--name", engine, "--weights", start)
        assert child.returncode == 0, child.stderr
    real, ours = (history(tmp_path, Path("runs/small") / name) for name in ("caffe", "torch"))
    assert [set(a) - {"images_per_second"} for a in real] == [
        set(b) - {"images_per_second"} for b in ours
    ]
    for a, b in zip(real, ours):
        for key in ("train_loss", "val_loss", "val_accuracy"):
            if key in a:
                assert a[key] == pytest.approx(b[key], rel=1e-4), (a["iteration"], key)


def test_a_finished_run_says_so_and_exits_0(trained: Trained, tmp_path: Path) -> None:
    trained("torch", tmp_path)
    before = (tmp_path / RUN / "train.log").read_bytes()
    child = train(tmp_path, "--engine", "torch")
    assert child.returncode == 0
    assert "is finished (24 iterations)" in child.stderr
    assert (tmp_path / RUN / "train.log").read_bytes() == before


def test_average_loss_spans_iterations_on_real_caffe(folder: Path, caffe_python: str) -> None:
    """A separate step() for every iteration would restart the average each time."""
    flags = ("--engine", "caffe", "--set", "display=1", "--max-iter", "6")
    assert train(folder, *flags, "--name", "plain").returncode == 0
    assert train(folder, *flags, "--name", "mean", "--set", "average_loss=3").returncode == 0
    plain, mean = (history(folder, Path("runs/small") / name) for name in ("plain", "mean"))
    losses = [entry["train_loss"] for entry in plain]
    for at in range(2, 6):
        assert mean[at]["train_loss"] == pytest.approx(np.mean(losses[at - 2 : at + 1]), rel=1e-4)
