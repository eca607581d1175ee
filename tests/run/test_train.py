"""``tinynet train`` as a user runs it, on both engines."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import children
from tests.run import small_runs
from tests.run.small_runs import RUN, history, last_line, record, train
from tinynet.caffeformat import binary, schema
from tinynet.run import snapshots

Trained = Callable[[str, Path], Path]


def weights(folder: Path, iteration: int, run: Path = RUN) -> np.ndarray:
    path = folder / run / "snapshots" / f"snapshot_iter_{iteration}.caffemodel"
    net = binary.read(path, schema.NetParameter)
    return np.concatenate([blob.data for layer in net.layer for blob in layer.blobs])


def test_a_run_directory_holds_what_the_design_names(
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


def test_the_summary_has_the_loss_of_the_last_iteration_displayed_or_not(
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


@pytest.mark.parametrize("second", ["caffe", "torch"])
def test_a_run_resumes_on_the_other_engine(trained: Trained, tmp_path: Path, second: str) -> None:
    first = "torch" if second == "caffe" else "caffe"
    trained(first, tmp_path)
    # 24 iterations of 10 images are four passes over the data, so that a resumed reader, which
    # starts again at the first record, resumes where an unbroken one would be
    child = train(tmp_path, "--engine", second, "--max-iter", "32", "--resume")
    assert child.returncode == 0, child.stderr
    assert "resuming at iteration 24" in child.stderr
    sessions = [(s["engine"], s["from"], s["to"]) for s in record(tmp_path)["sessions"]]
    assert sessions == [(first, 0, 24), (second, 24, 32)]
    numbers = [entry["iteration"] for entry in history(tmp_path)]
    assert numbers == [0, 4, 8, 10, 12, 16, 20, 24, 28, 30, 32]
    child = train(tmp_path, "--engine", first, "--name", "whole", "--max-iter", "32")
    assert child.returncode == 0, child.stderr
    whole = weights(tmp_path, 32, Path("runs/small/whole"))
    np.testing.assert_allclose(weights(tmp_path, 32), whole, rtol=1e-4, atol=1e-6)


def wait_for(
    folder: Path, iteration: int, child: subprocess.Popen[Any], terminal: int | None = None
) -> None:
    """Wait until the run has displayed an iteration; meanwhile read what its terminal shows."""
    path = folder / RUN / "history.jsonl"
    while child.poll() is None:
        if path.exists() and any(e["iteration"] >= iteration for e in history_so_far(path)):
            return
        if terminal is not None and select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 1 << 16)
        time.sleep(0.02)
    raise AssertionError(f"the run ended early: {child.communicate()}")


def history_so_far(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


LONG = ("--max-iter", "100000000", "--snapshot", "0", "--set", "display=100")


def start(folder: Path, *arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
    return children.start(
        small_runs.command("small/solver.prototxt", *LONG, *arguments),
        folder,
        environment=small_runs.environment(),
        stdout=subprocess.PIPE,
        terminal=terminal,
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_leaves_a_snapshot_and_exits_75(
    folder: Path, engine: str, name: str
) -> None:
    child = start(folder, "--engine", engine)
    wait_for(folder, 100, child)
    os.killpg(child.pid, getattr(signal, name))  # as a terminal or a batch system does
    _, errors = child.communicate()
    assert child.returncode == 75, errors
    final = errors.strip().splitlines()[-1]
    assert name in final and "the same command resumes it" in final
    run = record(folder)
    assert run["state"] == "stopped" and run["iteration"] >= 100
    state = folder / RUN / "snapshots" / f"snapshot_iter_{run['iteration']}.solverstate"
    assert binary.read(state, schema.SolverState).iter == run["iteration"]
    numbers = [entry["iteration"] for entry in history(folder)]
    assert numbers == sorted(set(numbers)) and numbers[-1] < run["iteration"]


def test_a_terminal_that_is_closed_stops_the_run_with_a_snapshot(folder: Path) -> None:
    """As where a connection breaks: SIGHUP, and nothing can be shown any longer."""
    pytest.importorskip("torch")
    ours, terminal = os.openpty()
    child = start(folder, "--engine", "torch", "--cpu", terminal=terminal)
    os.close(terminal)
    wait_for(folder, 100, child, ours)
    os.close(ours)
    assert child.wait() == 75
    run = record(folder)
    assert (run["state"], run["message"]) == ("stopped", "stopped by SIGHUP")
    assert (folder / RUN / f"snapshots/snapshot_iter_{run['iteration']}.caffemodel").exists()


def test_a_worker_dies_with_its_parent(folder: Path, engine: str) -> None:
    child = start(folder, "--engine", engine)
    wait_for(folder, 100, child)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    assert len(children) == 1
    child.kill()
    child.communicate()
    while True:  # the kernel tells the worker; a worker that stays hangs here
        try:
            state = Path(f"/proc/{children[0]}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            break
        if state in "ZX":
            break
        time.sleep(0.02)
    assert record(folder)["state"] == "running"  # nobody was left to write otherwise


def test_a_run_killed_before_its_first_snapshot_starts_again(
    trained: Trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    shutil.rmtree(tmp_path / RUN / "snapshots")
    run = record(tmp_path)
    (tmp_path / RUN / "run.json").write_text(json.dumps({**run, "state": "running"}))
    child = train(tmp_path, "--engine", "torch")
    assert child.returncode == 0, child.stderr
    assert "no snapshot yet" in child.stderr
    assert [entry["iteration"] for entry in history(tmp_path)] == [0, 4, 8, 10, 12, 16, 20, 24]


def test_a_second_process_on_the_same_run_is_refused_and_told_the_holder(folder: Path) -> None:
    pytest.importorskip("torch")
    child = start(folder, "--engine", "torch")
    wait_for(folder, 100, child)
    second = train(folder, "--engine", "torch", *LONG)
    child.kill()
    child.communicate()
    assert second.returncode == 1
    assert f"process {child.pid} on" in last_line(second)


def test_a_finished_run_says_so_and_exits_0(trained: Trained, tmp_path: Path) -> None:
    trained("torch", tmp_path)
    before = (tmp_path / RUN / "train.log").read_bytes()
    child = train(tmp_path, "--engine", "torch")
    assert child.returncode == 0
    assert "is finished (24 iterations)" in child.stderr
    assert (tmp_path / RUN / "train.log").read_bytes() == before


def test_changed_prototxt_and_changed_data_are_refused_and_shown(
    trained: Trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    child = train(tmp_path, "--set", "base_lr=0.2")
    assert child.returncode == 1 and "base_lr 0.1 -> 0.2" in last_line(child)
    child = train(tmp_path, "--max-iter", "32")
    assert child.returncode == 1 and "max_iter 24 -> 32" in last_line(child)
    assert "add --resume" in last_line(child)
    run = record(tmp_path)
    (tmp_path / RUN / "run.json").write_text(json.dumps({**run, "state": "stopped"}))
    child = train(tmp_path, "--max-iter", "8", "--resume")
    assert child.returncode == 1 and "at iteration 24 already" in last_line(child)
    (tmp_path / RUN / "run.json").write_text(json.dumps(run))
    net = tmp_path / "small/train_val.prototxt"
    net.write_text(small_runs.NET.replace("std: 0.1", "std: 0.2"))
    child = train(tmp_path, "--resume", "--max-iter", "32")
    assert child.returncode == 1 and "std: 0.2" in last_line(child)
    net.write_text(small_runs.NET)
    data = bytearray((tmp_path / "data/train_lmdb/data.mdb").read_bytes())
    data[-40] ^= 1  # of the last page, in the pixels of a record
    (tmp_path / "data/train_lmdb/data.mdb").write_bytes(data)
    child = train(tmp_path, "--resume", "--max-iter", "32")
    assert child.returncode == 1
    assert "the data in data/train_lmdb is not the same" in last_line(child)


def test_a_moved_run_resumes_from_its_own_directory(
    trained: Trained, engine: str, tmp_path: Path
) -> None:
    trained(engine, tmp_path)
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    moved = Path("elsewhere/small/seed7")
    child = train(tmp_path, str(moved), "--engine", engine, "--max-iter", "28")
    assert child.returncode == 0, child.stderr
    assert record(tmp_path, moved)["sessions"][-1]["from"] == 24
    assert not (tmp_path / "runs").exists()


def test_a_torn_newest_snapshot_is_passed_over_with_a_warning(
    trained: Trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    model = tmp_path / RUN / "snapshots/snapshot_iter_24.caffemodel"
    model.write_bytes(model.read_bytes()[:-30])
    child = train(tmp_path, "--engine", "torch", "--max-iter", "28", "--resume")
    assert child.returncode == 0, child.stderr
    assert "passed over" in child.stderr and "snapshot_iter_24.caffemodel" in child.stderr
    assert record(tmp_path)["sessions"][-1]["from"] == 16


def test_divergence_stops_the_run_with_advice_and_keeps_the_last_good_snapshot(
    folder: Path, engine: str
) -> None:
    wild = ("--set", "base_lr=1e10", "--set", "snapshot=1", "--set", "display=1")
    child = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert child.returncode == 1
    assert "diverged" in last_line(child) and "base_lr" in last_line(child)
    run = record(folder)
    assert run["state"] == "diverged"
    assert run["last_good"] is not None and run["iteration"] <= run["last_good"]
    again = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert again.returncode == 1
    assert record(folder)["sessions"] == run["sessions"], "a diverged run went on unasked"


@pytest.mark.parametrize(
    "hidden", ["average_loss=1000", pytest.param("display=100", marks=pytest.mark.long)]
)
def test_divergence_that_the_displayed_loss_does_not_show_stops_the_run_too(
    folder: Path, engine: str, hidden: str
) -> None:
    """An average over 1000 losses stays below the bound for long; so does a loss not displayed."""
    wild = ("--set", "base_lr=1e10", "--set", "snapshot=1", "--set", "display=1", "--set", hidden)
    child = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert child.returncode == 1
    assert "diverged: the " in last_line(child) and "base_lr" in last_line(child)
    run = record(folder)
    # within one display interval, and nothing unsound was sealed
    assert run["sessions"][-1]["to"] <= 101
    if run["iteration"]:
        state = folder / RUN / f"snapshots/snapshot_iter_{run['iteration']}.solverstate"
        assert (
            snapshots.fault(
                snapshots.Snapshot(run["iteration"], state, state.with_suffix(".caffemodel"))
            )
            is None
        )


def test_weights_that_overflow_at_the_last_iteration_are_no_result(
    folder: Path, engine: str
) -> None:
    """The last loss is sound; the update after it is not."""
    wild = ("--set", "base_lr=1e38", "--set", "weight_decay=1e30", "--set", "display=0")
    child = train(folder, "--engine", engine, "--max-iter", "2", "--snapshot", "0", *wild)
    assert child.returncode == 1, child.stderr
    assert "not finite" in last_line(child)
    assert record(folder)["state"] == "diverged"


def test_an_abort_of_real_caffe_is_one_clear_line(folder: Path, caffe_python: str) -> None:
    net = folder / "small/train_val.prototxt"
    net.write_text(small_runs.NET.replace('bottom: "data" top: "fc1"', 'bottom: "no" top: "fc1"'))
    child = train(folder, "--engine", "caffe")
    assert child.returncode == 1
    assert "Unknown bottom blob 'no' (layer 'fc1'" in last_line(child)
    assert "train.log" in last_line(child) and "Traceback" not in child.stderr


def test_a_cpu_only_caffe_asked_for_a_gpu_is_one_clear_line(
    folder: Path, caffe_python: str
) -> None:
    child = train(folder, "--engine", "caffe", "--gpu", "0")
    assert child.returncode == 1
    assert "built for the CPU only" in last_line(child) and caffe_python in last_line(child)


def test_a_gpu_that_the_engine_cannot_use_is_refused_before_anything_is_written(
    trained: Trained, engine: str, tmp_path: Path
) -> None:
    trained(engine, tmp_path)

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = content()
    wrong = ("--engine", engine, "--gpu", "99")
    for arguments in (["--name", "new"], ["--resume", "--max-iter", "32"]):
        child = train(tmp_path, *arguments, *wrong)
        assert child.returncode == 1
        assert child.stderr.count("\n") == 1 and "GPU" in child.stderr, child.stderr
        assert not (tmp_path / "runs/small/new").exists()
        assert content() == before


def test_a_missing_database_is_named_before_anything_is_made(folder: Path) -> None:
    shutil.rmtree(folder / "data/val_lmdb")
    child = train(folder)
    assert child.returncode == 1
    assert "data/val_lmdb: no such database" in last_line(child)
    assert "(TEST)" in last_line(child) and not (folder / "runs").exists()


def test_a_log_that_cannot_be_written_is_named_and_ends_the_run(folder: Path) -> None:
    """Under a limit on the size of files, smaller than the log and larger than what precedes it."""
    child = train(folder, "--cpu", "--engine", "torch", largest_file=6)
    assert child.returncode == 1
    said = last_line(child)
    assert said.startswith(f"tinynet: {RUN}/train.log: larger than this shell"), child.stderr
    assert record(folder)["state"] == "failed"
    resumed = train(folder, "--cpu", "--engine", "torch")
    assert resumed.returncode == 0, resumed.stderr


def test_a_resumption_that_cannot_write_leaves_the_prototxt_as_run(folder: Path) -> None:
    with (folder / "small/train_val.prototxt").open("a") as net:  # longer than the limit below
        net.writelines(
            f'layer {{ name: "more{i}" type: "Silence" bottom: "label" }}\n' for i in range(9)
        )
    assert train(folder, "--max-iter=8", "--cpu", "--engine=torch").returncode == 0
    before = {path.name: path.read_bytes() for path in (folder / RUN).glob("*.prototxt")}
    assert len(before["train_val.prototxt"]) > 1024
    child = train(folder, "--resume", "--max-iter=30", "--cpu", largest_file=1)
    assert child.returncode == 1
    assert last_line(child).startswith(f"tinynet: {RUN}/train_val.prototxt: "), child.stderr
    assert {p.name: p.read_bytes() for p in (folder / RUN).glob("*.prototxt")} == before


def test_stage_8_without_a_member_says_which_there_are(folder: Path) -> None:
    child = train(folder, "--stage", "8")
    assert child.returncode == 2 and "--member 1 to --member 11" in last_line(child)


def test_average_loss_spans_iterations_on_real_caffe(folder: Path, caffe_python: str) -> None:
    """One step() a call would start the average anew at every iteration."""
    flags = ("--engine", "caffe", "--set", "display=1", "--max-iter", "6")
    assert train(folder, *flags, "--name", "plain").returncode == 0
    assert train(folder, *flags, "--name", "mean", "--set", "average_loss=3").returncode == 0
    plain, mean = (history(folder, Path("runs/small") / name) for name in ("plain", "mean"))
    losses = [entry["train_loss"] for entry in plain]
    for at in range(2, 6):
        assert mean[at]["train_loss"] == pytest.approx(np.mean(losses[at - 2 : at + 1]), rel=1e-4)
