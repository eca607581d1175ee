"""A small solver with every random part: crops, mirrors, dropout, and a random test net."""

from __future__ import annotations

from pathlib import Path

from tests.torchcaffe.test_stages_against_caffe import write_images

BATCH = 8
NET = """
name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ mirror: true crop_size: 20 mean_value: 120 scale: 0.02 }}
  data_param {{ source: "{folder}/train_lmdb" backend: LMDB batch_size: 8 }} }}
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  transform_param {{ crop_size: 20 mean_value: 120 scale: 0.02 }}
  data_param {{ source: "{folder}/val_lmdb" backend: LMDB batch_size: 8 }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 6 kernel_size: 5 stride: 2
    weight_filler {{ type: "gaussian" std: 0.05 }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "drop" type: "Dropout" bottom: "conv" top: "conv" }}
layer {{ name: "scores" type: "InnerProduct" bottom: "conv" top: "scores"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "{folder}/net.prototxt" base_lr: 0.02 momentum: 0.9 weight_decay: 0.001 lr_policy: "step"
stepsize: 10 gamma: 0.5 max_iter: 40 test_iter: 5 test_interval: 5 random_seed: 4
snapshot_prefix: "{folder}/snapshot" iter_size: {passes}
"""


def write_small_solver(folder: Path, passes: int = 1) -> Path:
    """Write images, net and solver into ``folder``; an iteration makes ``passes`` passes."""
    write_images(folder, real=False)
    (folder / "net.prototxt").write_text(NET.format(folder=folder))
    path = folder / "solver.prototxt"
    path.write_text(SOLVER.format(folder=folder, passes=passes))
    return path
