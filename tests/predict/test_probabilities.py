"""Files of probabilities round-trip, and no bytes can do worse than cause an error."""

from __future__ import annotations

import dataclasses
import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinynet.errors import TinynetError
from tinynet.predict import array_file as module
from tinynet.predict.probabilities import Probabilities, read_probabilities, write_probabilities


def some_probabilities(count=6, classes=4, seed=0, **changes) -> Probabilities:
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(classes), count).astype(np.float32)
    values = {
        "probabilities": p,
        "labels": generator.integers(0, classes, count),
        "names": np.array([f"val_{i}.JPEG" for i in range(count)]),
        "wnids": np.array([f"n{i:08d}" for i in range(classes)]),
        "crop": "center",
        "iteration": 300,
        "model_sha256": "ab" * 32,
        **changes,
    }
    return Probabilities(**values)


def bytes_of(arrays: dict, compressed=True) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def arrays_of(value: Probabilities) -> dict:
    return {k: np.asarray(v) for k, v in dataclasses.asdict(value).items()}


def test_written_probabilities_are_read_back_unchanged_and_without_pickle(tmp_path):
    value = some_probabilities(views=10, split="val", engine="torch 2", crop="oversample")
    write_probabilities(tmp_path / "val_10crop.npz", value)
    back = read_probabilities(tmp_path / "val_10crop.npz")
    for field in dataclasses.fields(Probabilities):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(value, field.name))
    assert back.probabilities.dtype == np.float32 and back.labels.dtype == np.int64
    with np.load(tmp_path / "val_10crop.npz", allow_pickle=False) as plain:  # numpy's own reader
        assert str(plain["crop"]) == "oversample"
        np.testing.assert_array_equal(plain["names"], value.names)
    assert [p.name for p in tmp_path.iterdir()] == ["val_10crop.npz"]


def test_arrays_of_another_byte_or_axis_order_are_read_correctly(tmp_path):
    value = some_probabilities()
    swapped = {
        **arrays_of(value),
        "probabilities": np.asfortranarray(value.probabilities.astype(">f4")),
        "labels": value.labels.astype(">i8"),
    }
    path = tmp_path / "val.npz"
    path.write_bytes(bytes_of(swapped))
    back = read_probabilities(path)
    np.testing.assert_array_equal(back.probabilities, value.probabilities)
    np.testing.assert_array_equal(back.labels, value.labels)


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "val.npz"
    write_probabilities(path, some_probabilities(seed=1))
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError):
        write_probabilities(path, some_probabilities(seed=2))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["val.npz"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": np.full(6, 4)}, "label lies outside"),
        ({"labels": np.full(6, -2)}, "label lies outside"),
        ({"labels": np.zeros(5, np.int64)}, "labels are int64 (5,), not int64 (6,)"),
        ({"names": np.array(["a"] * 5)}, "names are <U1 (5,), not text (6,)"),
        ({"names": np.array(["a\nb"] * 6)}, "printable"),
        ({"names": np.array([""] * 6)}, "printable"),
        ({"wnids": np.array(["n1"] * 4)}, "twice"),
        ({"crop": np.array("ten")}, "crop is 'ten'"),
        ({"crop": np.array(["center"])}, "not a single value"),
        ({"probabilities": np.full((6, 4), np.nan, np.float32)}, "outside 0 … 1"),
        ({"probabilities": np.full((6, 4), np.inf, np.float32)}, "outside 0 … 1"),
        ({"probabilities": np.full((6, 4), 0.5, np.float32)}, "sum to 1"),
        ({"probabilities": np.full((6, 4), 0.25, np.float64)}, "not float32"),
        ({"probabilities": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64),
          "names": np.zeros(0, "U1")}, "(0, 4)"),
        ({"probabilities": np.ones((6, 4), "U1")}, "probabilities are <U1"),
        ({"iteration": np.array(1.5)}, "holds float64"),
    ],
)  # fmt: skip
def test_each_wrong_array_is_named_in_one_line(tmp_path, changes, says):
    path = tmp_path / "val.npz"
    path.write_bytes(bytes_of({**arrays_of(some_probabilities()), **changes}))
    with pytest.raises(TinynetError) as caught:
        read_probabilities(path)
    message = str(caught.value)
    assert says in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize("key", ["probabilities", "labels", "names", "wnids", "crop"])
def test_a_missing_array_is_named(tmp_path, key):
    arrays = arrays_of(some_probabilities())
    del arrays[key]
    path = tmp_path / "val.npz"
    path.write_bytes(bytes_of(arrays))
    with pytest.raises(TinynetError, match=f"no array '{key}'"):
        read_probabilities(path)


def test_a_pickled_object_is_refused_and_never_executed(tmp_path):
    path, witness = tmp_path / "val.npz", tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(witness),))

    arrays = arrays_of(some_probabilities())
    arrays["names"] = np.array([Bomb()] * 6, dtype=object)
    path.write_bytes(bytes_of(arrays))
    with pytest.raises(TinynetError, match="array 'names'"):
        read_probabilities(path)
    assert not witness.exists()


def test_sizes_are_checked_before_memory_is_allocated(tmp_path, monkeypatch):
    """A header may state any shape, and 2 MB of zeros inflate to 2 GB: both are refused first."""

    def never(*_args):
        raise AssertionError("an array was read")

    arrays = arrays_of(some_probabilities())
    monkeypatch.setattr(np, "load", never)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 4)}
    )
    path = tmp_path / "val.npz"
    for name, content in (("lie", header.getvalue() + b"\0" * 96), ("large", b"")):
        with zipfile.ZipFile(path, "w") as archive:
            for key, value in arrays.items():
                stream = io.BytesIO()
                np.lib.format.write_array(stream, value)
                data = content if name == "lie" and key == "probabilities" else stream.getvalue()
                archive.writestr(f"{key}.npy", data)
        if name == "large":
            monkeypatch.setattr(module, "MAX_BYTES", 100)
        with pytest.raises(TinynetError, match="has 96 bytes" if name == "lie" else "more than"):
            read_probabilities(path)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_give_probabilities_or_one_line(tmp_path_factory, data):
    _probabilities_or_one_line(tmp_path_factory.getbasetemp() / "any.npz", data)


@settings(max_examples=150, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 60),
    compressed=st.booleans(),
)
def test_any_damage_to_a_good_file_gives_probabilities_or_one_line(
    tmp_path_factory, edits, cut, compressed
):
    data = bytearray(bytes_of(arrays_of(some_probabilities()), compressed))
    for position, value in edits:
        data[position % len(data)] = value
    if cut < 30:
        del data[len(data) - cut :]
    _probabilities_or_one_line(tmp_path_factory.getbasetemp() / "any.npz", bytes(data))


@settings(max_examples=150, deadline=None)
@given(
    key=st.sampled_from(["probabilities", "labels", "names", "crop", "iteration"]),
    content=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="{}()[]'\",: descr<f4fortan_shpeTuFl-0123456789", max_size=150).map(
            lambda text: b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        ),
        st.tuples(st.sampled_from(["<f4", "<U0", "<U4", "|O", "<i8", ">i8", "|V9", "<f2"]),
                  st.lists(st.integers(-2, 10**19), max_size=3)).map(
            lambda pair: _npy(*pair)
        ),
    ),
)  # fmt: skip
def test_any_array_from_a_stranger_gives_probabilities_or_one_line(tmp_path_factory, key, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, value in arrays_of(some_probabilities()).items():
            array = io.BytesIO()
            np.lib.format.write_array(array, value)
            archive.writestr(f"{name}.npy", content if name == key else array.getvalue())
    _probabilities_or_one_line(tmp_path_factory.getbasetemp() / "any.npz", stream.getvalue())


def _npy(descr, shape) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _probabilities_or_one_line(path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        value = read_probabilities(path)
    except TinynetError as error:
        assert "\n" not in str(error)
    else:
        value.check()
