from __future__ import annotations

import errno
import io
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from tinynet.caffeformat import schema
from tinynet.caffeformat.datum import DatumReader, decode_datum, encode_datum
from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.errors import TinynetError

LABELS = st.integers(0, 2**31 - 1)
SHAPES = npst.array_shapes(min_dims=3, max_dims=3, max_side=9)


def varint(number: int) -> bytes:
    """Encode protobuf's variable-length integer, as its documentation describes it."""
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


@given(npst.arrays(np.uint8, SHAPES), LABELS)
def test_a_datum_has_caffes_wire_form(pixels: np.ndarray, label: int) -> None:
    channels, height, width = pixels.shape
    by_hand = b"\x08" + varint(channels) + b"\x10" + varint(height) + b"\x18" + varint(width)
    by_hand += b"\x22" + varint(pixels.size) + pixels.tobytes() + b"\x28" + varint(label)
    assert encode_datum(pixels, label) == by_hand


@given(npst.arrays(np.uint8, SHAPES) | npst.arrays(np.float32, SHAPES), LABELS)
def test_a_datum_reads_back_as_it_was(pixels: np.ndarray, label: int) -> None:
    found, found_label = decode_datum(encode_datum(pixels, label))
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == pixels.dtype and found_label == label


@given(st.binary(max_size=60))
def test_any_bytes_are_a_datum_or_refused_with_one_line(value: bytes) -> None:
    try:
        decode_datum(value)
    except TinynetError as error:
        assert "\n" not in str(error)


def test_a_datum_whose_size_contradicts_its_shape_is_refused() -> None:
    value = schema.Datum(channels=3, height=2, width=2, data=b"12345").SerializeToString()
    with pytest.raises(TinynetError, match="3×2×2 holds 5 values"):
        decode_datum(value)


def assert_read_alike(values: Sequence[bytes]) -> None:
    """Assert that a DatumReader reads each record as ``decode_datum`` does, errors included."""
    reader = DatumReader()
    for value in values:
        try:
            pixels, label = decode_datum(value)
        except TinynetError as error:
            with pytest.raises(TinynetError) as refused:
                reader.read(value)
            assert str(refused.value) == str(error)
            continue
        for form in (value, memoryview(value)):
            found, found_label = reader.read(form)
            np.testing.assert_array_equal(found, pixels)
            assert (found.dtype, found_label) == (pixels.dtype, label)


FEW_SHAPES = st.sampled_from([(1, 1, 1), (3, 2, 2), (3, 4, 1), (2, 8, 9)])
IMAGES = FEW_SHAPES.flatmap(lambda shape: npst.arrays(np.uint8, shape))
# what may follow the pixels: a label, Caffe's "encoded: false", and fields that change the image
TAILS = st.sampled_from(
    [
        b"",
        schema.Datum(encoded=False).SerializeToString(),
        schema.Datum(label=7, encoded=False).SerializeToString(),
        schema.Datum(data=b"z").SerializeToString(),
        schema.Datum(height=5).SerializeToString(),
        schema.Datum(float_data=[1.5]).SerializeToString(),
        schema.Datum(encoded=True).SerializeToString(),
        b"\xff",
        b"\x50",
    ]
)


@given(st.lists(st.builds(lambda p, n, t: encode_datum(p, n) + t, IMAGES, LABELS, TAILS)))
def test_records_read_in_sequence_equal_records_read_one_by_one(values: list[bytes]) -> None:
    assert_read_alike(values)


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=3), st.integers(0, 12))))
def test_a_damaged_record_among_good_ones_is_read_or_refused_as_it_is_alone(
    damages: list[tuple[int, bytes, int]],
) -> None:
    good = encode_datum(np.arange(12, dtype=np.uint8).reshape(3, 2, 2), 5)
    damaged = [good[:place] + new + good[place + skip :] for place, new, skip in damages]
    assert_read_alike([good, *damaged, good])


def test_pixels_of_records_read_in_sequence_are_not_copied() -> None:
    values = [encode_datum(np.full((3, 2, 2), n, np.uint8), n) for n in range(3)]
    reader = DatumReader()
    reader.read(values[0])
    for value in values[1:]:
        pixels, _ = reader.read(value)
        assert np.shares_memory(pixels, np.frombuffer(value, np.uint8))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_an_encoded_image_is_decoded_to_bgr(mode: str, channels: int) -> None:
    image = Image.new(mode, (3, 2), (250, 100, 3) if mode == "RGB" else 77)
    file = io.BytesIO()
    image.save(file, "PNG")
    value = schema.Datum(data=file.getvalue(), encoded=True, label=4).SerializeToString()
    pixels, label = decode_datum(value)
    assert pixels.shape == (channels, 2, 3) and label == 4
    assert pixels[:, 0, 0].tolist() == ([3, 100, 250] if mode == "RGB" else [77])
    assert decode_datum(value, "color")[0].shape == (3, 2, 3)


def test_an_encoded_datum_that_is_not_an_image_is_refused() -> None:
    value = schema.Datum(data=b"no image", encoded=True).SerializeToString()
    with pytest.raises(TinynetError) as refused:
        decode_datum(value)
    assert str(refused.value) == "encoded Datum cannot be decoded: its 8 bytes are not an image"


def test_a_path_that_is_not_utf8_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"l\xffmdb")
    with pytest.raises(TinynetError, match="must be UTF-8; rename the folder"):
        write_store(path, [(b"0", b"1")])
    assert not path.exists()
    write_store(tmp_path / "lmdb", [(b"0", b"1")])
    (tmp_path / "lmdb").rename(path)
    with pytest.raises(TinynetError, match="must be UTF-8; rename the folder"):
        open_store(path)


def numbered(count: int, size: int = 10) -> list[tuple[bytes, bytes]]:
    return [(f"{i:08d}".encode(), bytes([i % 256]) * size) for i in range(count)]


@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=50), max_size=30))
def test_records_come_back_in_the_order_of_their_keys(
    tmp_path_factory: pytest.TempPathFactory, records: dict[bytes, bytes]
) -> None:
    path = tmp_path_factory.mktemp("store") / "lmdb"
    assert write_store(path, iter(records.items())) == len(records)
    with open_store(path) as store:
        assert len(store) == len(records)
        assert list(store.records()) == sorted(records.items())
        assert list(store.keys()) == sorted(records)


def test_the_plain_lmdb_library_reads_what_was_written(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", numbered(5))
    environment = lmdb.open(str(tmp_path / "lmdb"), readonly=True)
    with environment.begin() as transaction:
        assert list(transaction.cursor()) == numbered(5)


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 100])
def test_records_can_start_at_any_number(tmp_path: Path, start: int) -> None:
    write_store(tmp_path / "lmdb", numbered(7))
    with open_store(tmp_path / "lmdb") as store:
        assert list(store.records(start)) == numbered(7)[start:]
        values = [value for _, value in numbered(7)[start:]]
        assert [bytes(value) for value in store.mapped_values(start)] == values


def test_the_map_grows_beyond_its_first_size(tmp_path: Path) -> None:
    records = numbered(90, size=1_000_000)  # the first map has 64 MiB
    assert write_store(tmp_path / "lmdb", records) == 90
    with open_store(tmp_path / "lmdb") as store:
        assert list(store.records()) == records


def test_one_lmdb_may_be_read_twice_at_once_in_one_process(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", numbered(50))
    found: list[int] = []

    def read() -> None:
        with open_store(tmp_path / "lmdb") as store:
            found.append(sum(value[0] for _, value in store.records()))

    first = open_store(tmp_path / "lmdb")
    half_read = first.records()
    next(half_read)
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sum(range(50))] * 4
    assert len(list(half_read)) == 49
    first.close()
    first.close()
    with open_store(tmp_path / "lmdb") as store:
        assert len(store) == 50


def test_one_lmdb_may_be_read_through_two_folders(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", numbered(5))
    for name in ("soft", "hard"):
        (tmp_path / name).mkdir()
        if name == "soft":
            (tmp_path / name / "data.mdb").symlink_to(tmp_path / "lmdb/data.mdb")
        else:
            os.link(tmp_path / "lmdb/data.mdb", tmp_path / name / "data.mdb")
        with open_store(tmp_path / "lmdb") as first, open_store(tmp_path / name) as second:
            assert list(first.records()) == list(second.records())


def test_an_lmdb_that_the_script_has_open_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", numbered(5))
    with (
        lmdb.open(str(tmp_path / "lmdb"), readonly=True, lock=False),
        pytest.raises(TinynetError, match=r"the script has it open itself: .* \(env.close\(\)\)"),
    ):
        open_store(tmp_path / "lmdb")


def test_a_read_only_folder_is_read_and_nothing_is_added_to_it(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", numbered(3))
    (tmp_path / "lmdb" / "lock.mdb").unlink()
    (tmp_path / "lmdb").chmod(0o555)
    with open_store(tmp_path / "lmdb") as store:
        assert store.first() == numbered(1)[0]
    assert os.listdir(tmp_path / "lmdb") == ["data.mdb"]


def test_an_empty_store_has_no_first_record(tmp_path: Path) -> None:
    write_store(tmp_path / "lmdb", [])
    with open_store(tmp_path / "lmdb") as store, pytest.raises(TinynetError, match="no record"):
        store.first()


def test_a_missing_or_damaged_lmdb_is_named(tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="absent: no such LMDB folder"):
        open_store(tmp_path / "absent")
    (tmp_path / "other").mkdir()
    with pytest.raises(TinynetError, match="other: is not an LMDB folder"):
        open_store(tmp_path / "other")
    (tmp_path / "other" / "data.mdb").write_bytes(b"not an LMDB" * 1000)
    with pytest.raises(TinynetError, match="other: cannot be read as an LMDB"):
        open_store(tmp_path / "other")


def test_a_key_that_occurs_twice_or_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="two records have the key b'a'"):
        write_store(tmp_path / "twice", [(b"a", b"1"), (b"a", b"2")])
    with pytest.raises(TinynetError, match="1 to 511 bytes"):
        write_store(tmp_path / "long", [(b"a" * 512, b"1")])


# the write is cut short, or the first page of an empty LMDB is refused
@pytest.mark.parametrize("limit", [1 << 20, 1 << 12])
def test_a_failing_write_becomes_an_os_error_that_names_the_folder(
    limit: int, tmp_path: Path
) -> None:
    child = fill(
        tmp_path / "lmdb",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert child.stdout == f"{errno.EFBIG} {tmp_path / 'lmdb'}\n", child.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_device_becomes_an_os_error_that_says_so(tmp_path: Path) -> None:
    mount = ["unshare", "--mount", "sh", "-c"]
    script = f'mount -t tmpfs -o size=4m none "{tmp_path}" && exec "$@"'
    if subprocess.run([*mount, script, "sh", "true"], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    child = fill(tmp_path / "lmdb", [*mount, script, "sh"])
    assert child.stdout == f"{errno.ENOSPC} {tmp_path / 'lmdb'}\n", child.stderr


def fill(
    path: Path, prefix: Sequence[str] = (), preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Write 20 MB of records in a child process, which prints errno and path of its OSError."""
    script = """import sys
from tinynet.caffeformat.lmdb import write_store
try:
    write_store(sys.argv[1], ((b"%04d" % i, b"x" * 9999) for i in range(2000)))
except OSError as error:
    print(error.errno, error.filename)
"""
    return subprocess.run(
        [*prefix, sys.executable, "-c", script, str(path)],
        preexec_fn=preexec_fn,
        capture_output=True,
        text=True,
    )
