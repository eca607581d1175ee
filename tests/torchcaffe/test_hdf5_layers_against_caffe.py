"""HDF5Data and HDF5Output against real Caffe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Ask, RealCaffe, assert_same
from tests.torchcaffe.small_nets import layer, net, normal
from tinynet.torchcaffe.random_numbers import c_rand
from tinynet.torchcaffe.random_numbers.c_rand import CRand

Datasets = dict[str, Any]


def rows(count: int, start: int = 0) -> Datasets:
    """Return distinguishable rows of several kinds of numbers."""
    numbers = np.arange(start, start + count)
    return {
        "data": (numbers[:, None, None] + np.arange(6).reshape(2, 3) / 8).astype(np.float64),
        "label": numbers.astype(np.int16),
        "more": numbers[:, None].astype(np.float32) / 4,
    }


def write(folder: Path, *files: Datasets) -> Path:
    """The list of HDF5 files with these datasets."""
    paths = [folder / f"part{number}.h5" for number in range(len(files))]
    for path, datasets in zip(paths, files):
        with h5py.File(path, "w") as file:
            for name, values in datasets.items():
                file[name] = values
    listed = folder / "list.txt"
    listed.write_text("\n".join(map(str, paths)) + "\n")
    return listed


def reader(source: Path, batch_size: int, tops: str = "label data more", more: str = "") -> str:
    given = f'source: "{source}" batch_size: {batch_size} {more}'
    return layer("HDF5Data", "", tops, f"hdf5_data_param {{ {given} }}")


@pytest.mark.parametrize("batch_size", [1, 3, 5, 12])
@pytest.mark.parametrize("sizes", [(4,), (4, 1, 3)])
def test_rows_are_read_in_order_across_files_and_tops(
    batch_size: int, sizes: tuple[int, ...], tmp_path: Path, ask_both: Ask
) -> None:
    source = write(tmp_path, *(rows(size, 10 * i) for i, size in enumerate(sizes)))
    request = {"net": reader(source, batch_size), "passes": 7, "backward": False}
    real, ours = ask_both(request)
    assert_same(real, ours, 0)
    assert real["6/data/data"].shape == (batch_size, 2, 3)


@pytest.mark.parametrize("sizes", [(9,), (4, 6, 1, 3)])
def test_shuffled_rows_come_in_real_caffes_own_order(
    sizes: tuple[int, ...],
    caffe_python: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = write(tmp_path, *(rows(size, 10 * i) for i, size in enumerate(sizes)))
    request = {
        "net": reader(source, 3, more="shuffle: true"),
        "passes": 20,
        "backward": False,
        "seed": 5,  # has no effect
    }
    caffe = RealCaffe(caffe_python)  # in a new process rand() starts from its default seed
    try:
        real = caffe.answer(request, {}, tmp_path)
    finally:
        caffe.close()
    monkeypatch.setattr(c_rand, "PROCESS", CRand())
    assert_same(real, both_engines.answer(torchcaffe, request, {}), 0)
    labels = np.concatenate([real[f"{number}/data/label"] for number in range(20)])
    assert sorted(labels[: sum(sizes)]) != labels[: sum(sizes)].tolist()


@pytest.mark.parametrize("shuffle", ["false", "true"])
def test_a_position_resumes_to_the_same_rows(
    shuffle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_rand, "PROCESS", CRand())
    (tmp_path / "net.prototxt").write_text(
        reader(write(tmp_path, rows(4), rows(5, 10), rows(2, 20)), 3, more=f"shuffle: {shuffle}")
    )

    def batches(made: Any, count: int) -> list[list[float]]:
        return [made.forward()["label"].tolist() for _ in range(count)]

    first = torchcaffe.Net(tmp_path / "net.prototxt", torchcaffe.TRAIN)
    batches(first, 5)
    state = first.layers[0].state()
    expected = batches(first, 9)
    second = torchcaffe.Net(tmp_path / "net.prototxt", torchcaffe.TRAIN)
    second.layers[0].set_state(state)
    assert batches(second, 9) == expected
    for wrong in ({}, {**state, "file": 7}, {**state, "row": 99}, {**state, "files": 2}):
        with pytest.raises(torchcaffe.CaffeError):
            second.layers[0].set_state(wrong)


_TWO = {"data": np.zeros((2, 3), np.float32), "label": np.zeros(2, np.float32)}
REFUSED: dict[str, tuple[list[Datasets], str, str]] = {
    "no such dataset": ([{"data": np.zeros(2)}], "data label", "has no dataset 'label'"),
    "a group": ([{"data/label": np.zeros(2)}], "data", "has no dataset 'data'"),
    "a dataset in a group": ([{"data/label": np.zeros(2)}], "data/label", "has no dataset"),
    "words": ([{"data": np.array([b"a", b"b"])}], "data", "must hold floats or integers"),
    "truth values": ([{"data": np.array([True])}], "data", "must hold floats or integers"),
    "a scalar": ([{"data": np.float32(1)}], "data", "must have an axis"),
    "other numbers of rows": (
        [{"data": np.zeros(2), "label": np.zeros(3)}],
        "data label",
        "same number of rows.*got 2, 3",
    ),
    "no file": ([], "data", "at least one HDF5 file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hdf5_data_that_real_caffe_refuses_is_refused_here(
    name: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    files, tops, message = REFUSED[name]
    text = reader(write(tmp_path, *files), 2, tops)
    refusal = both_refuse({"net": text, "backward": False})
    assert "\n" not in refusal
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": text, "backward": False}, {})


@pytest.mark.parametrize(
    ("listed", "more", "message"),
    [
        (None, "", "could not open file"),
        ("/nowhere/a.h5\n", "", "could not open file /nowhere/a.h5"),
        ("{folder}/net.h5", "", "is not an HDF5 file"),
        ("{folder}/part0.h5", "transform_param { scale: 2 }", "does not transform data"),
        ("{folder}/part0.h5", 'top: "label"', "top"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    listed: str | None, more: str, message: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    write(tmp_path, _TWO)
    (tmp_path / "net.h5").write_text("no HDF5")
    source = tmp_path / "missing.txt"
    if listed is not None:
        source = tmp_path / "files.txt"
        source.write_text(listed.format(folder=tmp_path))
    text = reader(source, 2, "data label").replace("hdf5_data_param", f"{more} hdf5_data_param")
    refusal = both_refuse({"net": text, "backward": False})
    assert message in refusal
    assert "\n" not in refusal


def test_rows_of_another_shape_in_a_later_file_are_refused(tmp_path: Path) -> None:
    """Real Caffe reads memory outside the rows."""
    source = write(tmp_path, _TWO, {**_TWO, "data": np.zeros((2, 4), np.float32)})
    request = {"net": reader(source, 2, "data label"), "passes": 2, "backward": False}
    with pytest.raises(torchcaffe.CaffeError, match="rows of all files must have the same shapes"):
        both_engines.answer(torchcaffe, request, {})


def output(path: Path, *shapes: tuple[int, ...]) -> str:
    parameters = f'hdf5_output_param {{ file_name: "{path}" }}'
    text = layer("HDF5Output", "a b", "", parameters)
    return net(text, *zip("ab", shapes), force_backward=False)


@pytest.mark.parametrize("shapes", [((3, 2, 2, 1), (3,)), ((4,), (4, 2))])
def test_output_writes_the_file_that_real_caffe_writes(
    shapes: tuple[tuple[int, ...], ...],
    caffe_python: str,
    tmp_path: Path,
) -> None:
    values = {name: normal(1, shape) for name, shape in zip("ab", shapes)}
    request = {"net": output(tmp_path / "real.h5", *shapes), "backward": False}
    caffe = RealCaffe(caffe_python)
    try:
        caffe.answer(request, values, tmp_path)
    finally:
        caffe.close()
    request = {"net": output(tmp_path / "ours.h5", *shapes), "backward": False}
    both_engines.answer(torchcaffe, request, values)
    with h5py.File(tmp_path / "real.h5") as real, h5py.File(tmp_path / "ours.h5") as ours:
        assert sorted(real) == sorted(ours) == ["data", "label"]
        for name, given in zip(("data", "label"), values.values()):
            assert ours[name].shape == real[name].shape == (*given.shape, 1, 1, 1)[:4]
            assert ours[name].dtype == real[name].dtype
            np.testing.assert_array_equal(ours[name][()], real[name][()])


@pytest.mark.parametrize(
    ("path", "shapes", "passes", "message"),
    [
        ("{folder}/out.h5", ((2, 3), (3,)), 1, "same batch size"),
        ("{folder}/out.h5", ((2, 3), (2,)), 2, "already holds a batch"),
        ("{folder}/no/out.h5", ((2, 3), (2,)), 1, "cannot write the HDF5 file"),
        ("{folder}/out.h5", ((2, 3, 1, 1, 1), (2,)), 1, "at most 4 axes"),
    ],
)
def test_output_that_real_caffe_refuses_to_write_is_refused_here(
    path: str,
    shapes: tuple[tuple[int, ...], ...],
    passes: int,
    message: str,
    tmp_path: Path,
    both_refuse: Callable[..., str],
) -> None:
    text = output(Path(path.format(folder=tmp_path)), *shapes)
    refusal = both_refuse({"net": text, "backward": False, "passes": passes})
    assert message in refusal
    assert "\n" not in refusal


def test_without_h5py_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [reader(write(tmp_path, _TWO), 1, "data"), output(tmp_path / "x.h5", (1,), (1,))]
    monkeypatch.setitem(sys.modules, "h5py", None)
    for text in texts:
        with pytest.raises(torchcaffe.CaffeError, match=r"pip install 'tinynet\[hdf5\]'"):
            both_engines.answer(torchcaffe, {"net": text, "backward": False}, {})
