"""The host's part of an iteration is counted, and no kernels run meanwhile."""

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


def build_net(folder: Path) -> caffe.Net:
    (folder / "net.prototxt").write_text(_NET)
    return caffe.Net(folder / "net.prototxt", caffe.TEST)


def test_a_net_without_kernels_has_the_shapes_and_no_values(tmp_path: Path) -> None:
    caffe.extensions.without_kernels()
    nothing = build_net(tmp_path)
    nothing.run_forward()
    assert nothing.blobs["r"].tensor.device.type == "meta"
    caffe.set_mode_cpu()
    real = build_net(tmp_path)
    real.run_forward()
    assert nothing.blobs["r"].tensor.shape == real.blobs["r"].tensor.shape == (2, 4, 6, 6)
    assert real.blobs["r"].tensor.device.type == "cpu"


def test_the_calls_of_an_iteration_are_counted_and_torchs_own_functions_are_restored(
    tmp_path: Path,
) -> None:
    caffe.extensions.without_kernels()
    nothing = build_net(tmp_path)
    host = caffe.extensions.host_time(nothing.run_forward)
    try:
        # by hand: the memory order of the images (already right), the product, the rectifier
        assert host.by_name["aten.convolution.default"] == 1
        assert host.by_name["aten.leaky_relu.default"] == 1
        assert host.calls == sum(host.by_name.values())
        assert host.seconds(3) > 0 and host.seconds_of_calls(3) > 0
        # a shape not seen before: the stand-in returns the one that was seen
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
