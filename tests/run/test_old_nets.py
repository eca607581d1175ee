"""``tinynet train`` upgrades and runs a solver of 2014 with a V1 net, as real Caffe does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.run import small_runs
from tests.run.small_runs import RUN, history, train
from tests.torchcaffe.user_scripts import in_real_caffe
from tinynet.caffeformat import schema, text

NET = """
name: "small"
layers { name: "data" type: DATA top: "data" top: "label" include { phase: TRAIN }
  transform_param { mean_value: 128 }
  data_param { source: "data/train_lmdb" batch_size: 10 backend: LMDB scale: 0.01 rand_skip: 3 } }
layers { name: "data" type: DATA top: "data" top: "label" include { phase: TEST }
  transform_param { mean_value: 128 }
  data_param { source: "data/val_lmdb" batch_size: 10 backend: LMDB scale: 0.01 } }
layers { name: "fc1" type: INNER_PRODUCT bottom: "data" top: "fc1"
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layers { name: "accuracy" type: ACCURACY bottom: "fc1" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc1" bottom: "label" top: "loss" }
"""
LOSSES = """
import caffe
caffe.set_mode_cpu()
solver = caffe.get_solver("small/solver.prototxt")
for _ in range(24):
    solver.step(1)
    print(float(solver.net.blobs["loss"].data))
"""


def write_old_files(folder: Path) -> None:
    (folder / "small/train_val.prototxt").write_text(NET)
    (folder / "small/solver.prototxt").write_text(small_runs.SOLVER + "solver_type: NESTEROV\n")


def test_a_v1_net_with_an_old_solver_type_trains_to_real_caffes_losses(
    folder: Path, caffe_python: str
) -> None:
    write_old_files(folder)
    child = train(folder, "--engine", "torch")
    assert child.returncode == 0, child.stderr
    real = [float(line) for line in in_real_caffe(caffe_python, LOSSES, folder).out.split()]
    ours = {record["iteration"]: record.get("train_loss") for record in history(folder)}
    shown = [n for n in ours if n % 4 == 0 and n < 24]
    assert len(shown) == 6
    for n in shown:
        assert ours[n] == pytest.approx(real[n], rel=1e-4)
    assert real[20] < real[0]


def test_the_run_directory_holds_the_upgraded_net_and_the_user_is_told(folder: Path) -> None:
    write_old_files(folder)
    child = train(folder, "--engine", "torch", "--max-iter", "4")
    assert child.returncode == 0, child.stderr
    lines = child.stderr.splitlines()
    older = (
        "small/train_val.prototxt: is in one of Caffe's older formats; the run has it up to date"
    )
    assert lines.count(older) == 1
    no_effect = "layer data: data_param.rand_skip has no effect in Caffe 1.0; leave it out"
    assert lines.count(no_effect) == 1
    assert no_effect in (folder / RUN / "train.log").read_text()
    kept = text.read(folder / RUN / "train_val.prototxt", schema.NetParameter)
    assert not kept.layers
    assert kept.layer[0].transform_param.scale == pytest.approx(0.01)
    solver = (folder / RUN / "solver.prototxt").read_text()
    assert re.search(r'^type: "Nesterov"$', solver, re.M) and "solver_type" not in solver
    # it resumes without a message about a changed net
    child = train(folder, "--engine", "torch", "--max-iter", "8", "--resume")
    assert child.returncode == 0, child.stderr
    assert "differ" not in child.stderr


def test_a_net_inside_an_old_solver_is_upgraded_too(folder: Path) -> None:
    write_old_files(folder)
    solver = small_runs.SOLVER.replace('net: "small/train_val.prototxt"', f"net_param {{ {NET} }}")
    (folder / "small/solver.prototxt").write_text(solver)
    child = train(folder, "--engine", "torch", "--max-iter", "4")
    assert child.returncode == 0, child.stderr
    assert "solver.prototxt: net_param: is in one of Caffe's older formats" in child.stderr
