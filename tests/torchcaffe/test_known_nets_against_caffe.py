"""Well-known nets agree with real Caffe: every blob, every parameter, and the diffs of both."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import known_nets
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.layer_cases import whole
from tests.torchcaffe.small_nets import normal

NETS = {
    "lenet": known_nets.lenet(),
    "cifar10 full": known_nets.cifar10_full(),
    "caffenet": known_nets.caffenet(),
    "googlenet": known_nets.googlenet(),
    "resnet, statistics given": known_nets.resnet("use_global_stats: true eps: 1"),
    "resnet": known_nets.resnet(""),
}


def inputs_of(name: str) -> dict[str, np.ndarray]:
    dims = [int(dim) for dim in re.findall(r"dim: (\d+)", NETS[name])[:4]]
    return {"data": normal(1, tuple(dims)), "label": whole(2, (dims[0],), 10)}


@pytest.mark.parametrize("phase", [0, 1], ids=["train", "test"])
@pytest.mark.parametrize("name", NETS)
def test_all_blobs_and_diffs_equal_real_caffes(
    name: str, phase: int, ask_both: Ask, request: pytest.FixtureRequest
) -> None:
    if name == "resnet":
        request.getfixturevalue("caffe_that_normalizes_by_batch")
        if phase == 1:
            pytest.skip("there are no statistics to test with: see the test below")
    real, ours = ask_both({"net": NETS[name], "phase": phase, "passes": 2}, inputs_of(name))
    assert_same(real, ours, 5e-5)
    assert ours["blobs"].tolist() == real["blobs"].tolist()
    assert np.abs(real["0/param_diff/conv1/0"]).max() > 1e-6, "no gradient reaches the first layer"


def test_real_caffe_can_use_statistics_gathered_here(ask_both: Ask, tmp_path: Path) -> None:
    """Weights and BatchNorm's statistics travel in a .caffemodel, and TEST then agrees."""
    (tmp_path / "net.prototxt").write_text(NETS["resnet"])
    net = torchcaffe.Net(tmp_path / "net.prototxt", torchcaffe.TRAIN)
    for seed in range(3):
        net.blobs["data"].data[...] = normal(seed, net.blobs["data"].shape)
        net.forward()
    weights = tmp_path / "net.caffemodel"
    net.save(weights)
    asked = {"net": NETS["resnet"], "phase": 1, "weights": str(weights)}
    assert_same(*ask_both(asked, inputs_of("resnet")), 5e-5)
