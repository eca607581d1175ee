"""The Data layer's databases against real Caffe: encoded Datums, LevelDB, and what is missing."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from PIL import Image

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import schema
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store

_PIXELS = np.random.default_rng(1).integers(0, 256, (4, 8, 10, 4), dtype=np.uint8)


def png(number: int, mode: str) -> bytes:
    """An encoded Datum of an image of this mode, label 10 and more."""
    file = io.BytesIO()
    image = Image.fromarray(_PIXELS[number])
    (image if mode == "RGBA" else image.convert("RGB").convert(mode)).save(file, "PNG")
    datum = schema.Datum(data=file.getvalue(), encoded=True, label=10 + number)
    return datum.SerializeToString()


def raw(number: int, channels: int) -> bytes:
    return encode_datum(_PIXELS[number].transpose(2, 0, 1)[:channels].copy(), number)


RECORDS = {
    "encoded gray": [png(number, "L") for number in range(4)],
    "encoded colour": [png(number, "RGB") for number in range(4)],
    "encoded palette": [png(number, "P") for number in range(4)],
    "encoded alpha": [png(number, "RGBA") for number in range(4)],
    "raw gray": [raw(number, 1) for number in range(4)],
    "raw colour": [raw(number, 3) for number in range(4)],
    "encoded gray and colour": [png(0, "L"), png(1, "RGB"), png(2, "L"), png(3, "RGB")],
    "encoded colour and gray": [png(0, "RGB"), png(1, "L"), png(2, "RGB"), png(3, "L")],
    "raw and encoded colour": [raw(0, 3), png(1, "RGB"), png(2, "RGB"), raw(3, 3)],
    "encoded and raw gray": [png(0, "L"), raw(1, 1), png(2, "L"), raw(3, 1)],
}
FORCED = {"as it is": "", "colour": "force_color: true", "gray": "force_gray: true"}
# a batch whose images differ in channels
_MIXED = {(name, "as it is") for name in ("encoded gray and colour", "encoded colour and gray")} | {
    ("raw and encoded colour", "gray"),
    ("encoded and raw gray", "colour"),
}


def write_lmdb(folder: Path, values: Sequence[bytes]) -> Path:
    write_store(folder / "lmdb", [(b"%08d" % i, value) for i, value in enumerate(values)])
    return folder / "lmdb"


def reader(source: Path, transform: str = "", backend: str = "LMDB", batch_size: int = 2) -> str:
    given = f'source: "{source}" batch_size: {batch_size} backend: {backend}'
    rest = f"data_param {{ {given} }} transform_param {{ {transform} }}"
    return layer("Data", "", "data label", rest)


@pytest.mark.parametrize("forced", FORCED)
@pytest.mark.parametrize("kind", RECORDS)
def test_encoded_datums_get_real_caffes_channels(
    kind: str,
    forced: str,
    tmp_path: Path,
    ask_both: Ask,
    both_refuse: Callable[..., str],
) -> None:
    text = reader(write_lmdb(tmp_path, RECORDS[kind]), FORCED[forced])
    request = {"net": text, "passes": 3, "backward": False}
    if (kind, forced) in _MIXED:
        refusal = both_refuse(request)
        assert "all images of a batch must have the first one's shape" in refusal
    else:
        assert_same(*ask_both(request), 0)


@pytest.mark.parametrize("transform", ["force_color: true force_gray: true", "crop_size: 9"])
def test_what_the_transformer_refuses_of_encoded_datums_is_refused(
    transform: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    source = write_lmdb(tmp_path, RECORDS["encoded colour"])
    assert "\n" not in both_refuse({"net": reader(source, transform), "backward": False})


def write_leveldb(folder: Path, values: Sequence[bytes]) -> Path:
    plyvel = pytest.importorskip("plyvel")
    database = plyvel.DB(str(folder / "level"), create_if_missing=True)
    # written in another order than that of the keys
    for index in (2, 0, 3, 1):
        database.put(b"%08d" % index, values[index])
    database.close()
    return folder / "level"


@pytest.mark.parametrize("kind", ["raw colour", "encoded colour"])
def test_a_leveldb_is_read_as_real_caffe_reads_it(kind: str, tmp_path: Path, ask_both: Ask) -> None:
    source = write_leveldb(tmp_path, RECORDS[kind])
    text = reader(source, "crop_size: 6 mirror: true", "LEVELDB", batch_size=3)
    request = {"net": text, "passes": 5, "backward": False, "seed": 3}
    assert_same(*ask_both(request), 0)
    by_default = reader(source, "", "LEVELDB").replace("backend: LEVELDB", "")
    assert_same(*ask_both({"net": by_default, "passes": 3, "backward": False}), 0)


def test_two_nets_of_one_process_read_one_leveldb(tmp_path: Path) -> None:
    """Real Caffe cannot: LevelDB's lock excludes the second net."""
    source = write_leveldb(tmp_path, RECORDS["raw colour"])
    text = reader(source, "", "LEVELDB", batch_size=3)
    (tmp_path / "net.prototxt").write_text(text)
    nets = [torchcaffe.Net(tmp_path / "net.prototxt", phase) for phase in (0, 1)]
    labels = [[made.forward()["label"].tolist() for _ in range(3)] for made in nets]
    assert labels == [[[0, 1, 2], [3, 0, 1], [2, 3, 0]]] * 2
    state = nets[0].layers[0].state()
    nets[1].layers[0].set_state(state)
    assert nets[1].forward()["label"].tolist() == nets[0].forward()["label"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("backend", ["LMDB", "LEVELDB"])
def test_a_source_that_is_not_a_database_is_refused_in_one_line(
    backend: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    if backend == "LEVELDB":
        pytest.importorskip("plyvel")
    refusal = both_refuse({"net": reader(tmp_path / "no", "", backend), "backward": False})
    assert str(tmp_path / "no") in refusal and "\n" not in refusal


def test_an_lmdb_declared_as_a_leveldb_is_refused_and_left_unchanged(
    tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    source = write_lmdb(tmp_path, RECORDS["raw gray"])
    refusal = both_refuse({"net": reader(source, "", "LEVELDB"), "backward": False})
    assert "is an LMDB; write 'backend: LMDB'" in refusal


def test_without_plyvel_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plyvel", None)
    with pytest.raises(torchcaffe.CaffeError, match=r"pip install 'tinynet\[leveldb\]'"):
        request = {"net": reader(tmp_path, "", "LEVELDB"), "backward": False}
        both_engines.answer(torchcaffe, request, {})


def test_a_missing_mean_is_refused_in_one_line(
    tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    source = write_lmdb(tmp_path, RECORDS["raw gray"])
    request = {"net": reader(source, 'mean_file: "/no/mean"'), "backward": False}
    message = both_refuse(request)
    assert message.endswith(
        ".prototxt:1: Data layer l: could not open file /no/mean: No such file or directory"
    )
    assert "\n" not in message


def test_a_record_that_is_not_a_datum_is_refused_like_any_other_error(tmp_path: Path) -> None:
    """Real Caffe uses the part of it that can be read."""
    source = write_lmdb(tmp_path, [raw(0, 1), b"\xff\xff"])
    with pytest.raises(torchcaffe.CaffeError, match="not a Caffe Datum"):
        request = {"net": reader(source), "passes": 2, "backward": False}
        both_engines.answer(torchcaffe, request, {})
