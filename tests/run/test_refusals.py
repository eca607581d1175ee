"""What prevents a training or ends it is reported in one clear line, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from tests.run import small_runs
from tests.run.small_runs import RUN, Trained, last_line, record, train
from tinynet.run import training_prototxt
from tinynet.run.paths import RunPaths


def test_changed_prototxt_and_changed_data_are_refused_with_the_difference(
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
    data[-40] ^= 1  # in the last page, in the pixels of a record
    (tmp_path / "data/train_lmdb/data.mdb").write_bytes(data)
    child = train(tmp_path, "--resume", "--max-iter", "32")
    assert child.returncode == 1
    assert "the data in data/train_lmdb is not the same" in last_line(child)


def test_a_refused_net_is_reported_by_the_users_own_file_and_line(folder: Path) -> None:
    """The run's copy has other lines; it is named only if the two no longer agree."""
    net = folder / "small/train_val.prototxt"
    net.write_text(small_runs.NET.replace('bottom: "data" top: "fc1"', 'bottom: "no" top: "fc1"'))
    child = train(folder)
    line = small_runs.NET.splitlines().index(
        'layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1"'
    )
    where = f"small/train_val.prototxt:{line + 1}: "
    assert child.returncode == 1 and last_line(child).startswith(f"tinynet: {where}")
    assert record(folder)["message"].startswith(where)
    paths = RunPaths(folder / RUN)
    prototxt = training_prototxt.load(paths.solver)
    fault = f"{paths.train_val}:14: no such bottom"
    assert prototxt.with_original_location(fault, paths) == fault
    other = replace(prototxt, read_from={"train_val.prototxt": str(net)})
    net.write_text(small_runs.NET)
    assert other.with_original_location(fault, paths) == fault


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


def test_a_gpu_unusable_for_the_engine_is_refused_before_anything_is_written(
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


def test_a_missing_database_is_reported_before_anything_is_written(folder: Path) -> None:
    shutil.rmtree(folder / "data/val_lmdb")
    child = train(folder)
    assert child.returncode == 1
    assert "data/val_lmdb: no such database" in last_line(child)
    assert "(TEST)" in last_line(child) and not (folder / "runs").exists()


def test_a_log_that_cannot_be_written_ends_the_run_with_its_name(folder: Path) -> None:
    """The limit on file sizes is below the log's size and above that of the files before it."""
    child = train(folder, "--cpu", "--engine", "torch", largest_file=6)
    assert child.returncode == 1
    message = last_line(child)
    assert message.startswith(f"tinynet: {RUN}/train.log: larger than this shell"), child.stderr
    assert record(folder)["state"] == "failed"
    resumed = train(folder, "--cpu", "--engine", "torch")
    assert resumed.returncode == 0, resumed.stderr


def test_a_resume_that_cannot_write_leaves_the_prototxt_unchanged(folder: Path) -> None:
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


def test_stage_8_without_a_member_lists_the_members(folder: Path) -> None:
    child = train(folder, "--stage", "8")
    assert child.returncode == 2
    assert "stage 8 has members 1 to 11: name one with --member 1" in last_line(child)
