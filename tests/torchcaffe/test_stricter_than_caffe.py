"""What real Caffe silently computes wrongly or ignores is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.refused_nets import X, refused, refused_convolution
from tests.torchcaffe.small_nets import layer

_IN_PLACE = "cannot work in place"
OURS = {
    # Caffe reads memory outside the blob
    "a hinge label out of range": refused(
        "HingeLoss", "", (2, 3), (2,), message="labels must be in 0 … 2; got 3"
    ),
    "a stride in one direction": refused_convolution(
        "num_output: 1 kernel_size: 1 stride_h: 2", "stride"
    ),
    # Caffe computes from values that it has overwritten
    "concat in place": refused("Concat", "", X, X, tops="a", message=_IN_PLACE),
    "lrn in place": refused("LRN", "", X, tops="a", message=_IN_PLACE),
    "reduction in place": refused("Reduction", "", X, tops="a", message=_IN_PLACE),
}


@pytest.mark.parametrize("case", OURS)
def test_what_real_caffe_silently_computes_wrongly_is_refused(case: str) -> None:
    text, message = OURS[case]
    labels = {"b": np.full(2, 3, np.float32)} if "Hinge" in text else {}
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": text}, labels)


def test_arrays_of_several_lengths_are_not_run_side_by_side(tmp_path: Path) -> None:
    shape = "input_param { shape { dim: 4 dim: 3 } }"
    path = tmp_path / "net.prototxt"
    path.write_text(
        f"""force_backward: true
        layer {{ name: "a" type: "Input" top: "a" {shape} }}
        layer {{ name: "b" type: "Input" top: "b" {shape} }}
        layer {{ name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "s" }}"""
    )
    net = torchcaffe.Net(path, torchcaffe.TEST)
    six, five = np.ones((6, 3), np.float32), np.ones((5, 3), np.float32)
    with pytest.raises(torchcaffe.CaffeError, match="of one length; got a 6, b 5"):
        net.forward_all(a=six, b=five)
    with pytest.raises(torchcaffe.CaffeError, match="of one length; got a 6, b 6, s 5"):
        net.forward_backward_all(a=six, b=six, s=five)
    with pytest.raises(torchcaffe.CaffeError, match="of one length; got none"):
        net.forward_backward_all()
    assert net.forward_all(a=six, b=six)["s"].tolist() == [[2.0] * 3] * 6


@pytest.mark.parametrize("iter_size", [0, -1])
def test_an_iter_size_below_one_is_refused(iter_size: int, tmp_path: Path) -> None:
    """Real Caffe divides by the number, and every weight is NaN from then on."""
    (tmp_path / "net.prototxt").write_text(
        layer("DummyData", "", "x", "dummy_data_param { num: 1 }")
    )
    path = tmp_path / "solver.prototxt"
    path.write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 1 iter_size: {iter_size}')
    with pytest.raises(
        torchcaffe.CaffeError, match=f"iter_size must be at least 1; got {iter_size}"
    ):
        torchcaffe.get_solver(path)
