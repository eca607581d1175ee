"""What real Caffe computes wrongly, or ignores, without a word is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.refused_nets import X, refused, refused_convolution
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store

_IN_PLACE = "cannot work in place"
OURS = {
    # it reads memory that is not the blob's
    "a hinge label out of range": refused(
        "HingeLoss", "", (2, 3), (2,), message="labels must be in 0 … 2; got 3"
    ),
    "a stride in one direction": refused_convolution(
        "num_output: 1 kernel_size: 1 stride_h: 2", "stride"
    ),
    # it computes from what it has overwritten
    "concat in place": refused("Concat", "", X, X, tops="a", message=_IN_PLACE),
    "lrn in place": refused("LRN", "", X, tops="a", message=_IN_PLACE),
    "reduction in place": refused("Reduction", "", X, tops="a", message=_IN_PLACE),
}


@pytest.mark.parametrize("case", OURS)
def test_what_real_caffe_gets_wrong_without_a_word_is_refused(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    text, message = OURS[case]
    labels = {"b": np.full(2, 3, np.float32)} if "Hinge" in text else {}
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": text}, labels)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("scale: 0.5", "write it in transform_param"),
        ("mirror: true", "write it in transform_param"),
        ("crop_size: 3", "write it in transform_param"),
        ('mean_file: "mean.binaryproto"', "write it in transform_param"),
        ("rand_skip: 7", "leave it out"),
        ("force_encoded_color: true", "force_color in transform_param"),
    ],
)
def test_fields_that_caffe_reads_and_does_nothing_with_are_refused(
    field: str,
    said: str,
    real_caffe: RealCaffe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    pixels = np.arange(75, dtype=np.uint8).reshape(3, 5, 5)
    write_store(tmp_path / "lmdb", [(b"0", encode_datum(pixels, 1))])
    given = f'source: "{tmp_path}/lmdb" backend: LMDB batch_size: 1'
    text = layer("Data", "", "x", f"data_param {{ {given} {field} }}")
    real = real_caffe.answer({"net": text, "backward": False}, {}, tmp_path)
    np.testing.assert_array_equal(real["0/data/x"][0], pixels)
    with pytest.raises(torchcaffe.CaffeError, match=f"Data layer l: data_param.*{said}"):
        both_engines.answer(torchcaffe, {"net": text}, {})


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
