"""The host's share of an iteration: what is counted, and that nothing is computed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net

_NET = net(
    layer(
        "Convolution", "x", "c", f"convolution_param {{ num_output: 4 kernel_size: 3 {GAUSSIAN} }}"
    )
    + layer("ReLU", "c", "r", "", "r"),
    ("x", (2, 3, 8, 8)),
)


@pytest.fixture(autouse=True)
def _back_to_the_cpu() -> Iterator[None]:
    yield
    caffe.set_mode_cpu()


def made(folder: Path) -> caffe.Net:
    (folder / "net.prototxt").write_text(_NET)
    return caffe.Net(folder / "net.prototxt", caffe.TEST)


def test_a_net_without_kernels_has_the_shapes_and_no_values(tmp_path: Path) -> None:
    caffe.extensions.without_kernels()
    nothing = made(tmp_path)
    nothing.run_forward()
    assert nothing.blobs["r"].tensor.device.type == "meta"
    caffe.set_mode_cpu()
    real = made(tmp_path)
    real.run_forward()
    assert nothing.blobs["r"].tensor.shape == real.blobs["r"].tensor.shape == (2, 4, 6, 6)
    assert real.blobs["r"].tensor.device.type == "cpu"


def test_an_iterations_calls_are_counted_and_torchs_own_functions_come_back(tmp_path: Path) -> None:
    caffe.extensions.without_kernels()
    nothing = made(tmp_path)
    host = caffe.extensions.host_time(nothing.run_forward)
    try:
        # by hand: the images in order of memory (of that order already), the product, the rectifier
        assert host.by_name["aten.convolution.default"] == 1
        assert host.by_name["aten.leaky_relu.default"] == 1
        assert host.calls == sum(host.by_name.values())
        assert host.seconds(3) > 0 and host.seconds_of_calls(3) > 0
        # a shape that was not seen: what stands in gives the one that was
        wrong = torch.convolution(
            torch.empty(9, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta"),
            None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
        )  # fmt: skip
        assert wrong.shape == (2, 4, 6, 6)
    finally:
        host.close()
    right = torch.convolution(
        torch.empty(9, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta"),
        None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
    )  # fmt: skip
    assert right.shape == (9, 4, 6, 6)
