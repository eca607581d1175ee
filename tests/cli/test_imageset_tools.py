"""convert_imageset, compute_image_mean and extract_features make what Caffe's own tools make."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinynet.torchcaffe as caffe
from tests.cli import imageset_cases as cases
from tests.cli.command import run
from tinynet.caffeformat import lmdb, schema
from tinynet.errors import TinynetError
from tinynet.torchcaffe.pycaffe import tool

GOLDEN = cases.golden()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cases.draw(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(*flags: str, out: str = "db", names: str = "list.txt") -> str:
    """Run a conversion that must succeed and return its log."""
    done = run("caffe", "convert_imageset", *flags, "images/", names, out)
    assert done.status == 0, done.stderr
    return done.stderr


def messages(log: str) -> list[str]:
    return re.findall(r"^[IWE]\d{4} [^\]]*\] (.*)$", log, flags=re.M)


@pytest.mark.parametrize("use", cases.CONVERSIONS)
def test_records_and_mean_equal_those_of_caffes_tools(use: str, folder: Path) -> None:
    flags = cases.CONVERSIONS[use]
    backend = cases.backend_of(flags)
    if backend == "leveldb":
        pytest.importorskip("plyvel")
    convert(*flags)
    expected = GOLDEN[use]
    found: dict[str, object] = {"records": cases.records(folder / "db", backend)}
    if use in cases.OF_MEAN:
        assert run("caffe", "compute_image_mean", f"--backend={backend}", "db", "mean").status == 0
        found["mean"] = hashlib.sha256((folder / "mean").read_bytes()).hexdigest()
    assert found == expected
    if cases.tool("convert_imageset") is not None:
        cases.run_tool("convert_imageset", *flags, "images/", "list.txt", "real", cwd=folder)
        assert found["records"] == cases.records(folder / "real", backend)


def test_every_use_has_a_stored_answer_of_caffes_tools() -> None:
    assert list(GOLDEN) == list(cases.CONVERSIONS)
    assert [use for use in GOLDEN if "mean" in GOLDEN[use]] == list(cases.OF_MEAN)


def test_the_log_says_what_was_read_and_what_was_left_out(folder: Path) -> None:
    logged = messages(convert())
    assert logged[0] == "A total of 9 images."
    assert logged[1].startswith("Could not open or find file images/missing.png")
    assert logged[2].startswith("Could not open or find file images/bad.png")
    assert logged[3:] == ["Processed 7 files."]


def test_shuffling_keeps_the_images_and_labels(folder: Path) -> None:
    lines = [f"a.png {label}" for label in range(60)]
    (folder / "list.txt").write_text("\n".join(lines))
    labels = []
    for out in ("one", "other"):
        assert "Shuffling data" in messages(convert("--shuffle", out=out))
        with lmdb.open_store(folder / out) as store:
            stored = [schema.Datum.FromString(value).label for _, value in store.records()]
        labels.append(stored)
    assert sorted(labels[0]) == sorted(labels[1]) == list(range(60))
    assert labels[0] != labels[1] != list(range(60))


def test_jpegs_are_kept_as_files_and_encoded_as_opencv_does(folder: Path) -> None:
    """Checked without a real tool: quality 95, 4:2:0, pixels close to the drawn ones."""
    smooth = np.add.outer(np.arange(20), np.arange(24)).astype(np.uint8)
    Image.fromarray(smooth).save(folder / "images" / "x.jpeg", quality=70)
    (folder / "list.txt").write_text("x.jpeg 1\na.png 2\n")
    convert("-encode_type=jpg")
    with lmdb.open_store(folder / "db") as store:
        kept, made = (schema.Datum.FromString(value) for _, value in store.records())
    assert kept.data == (folder / "images" / "x.jpeg").read_bytes()
    assert made.encoded and not made.HasField("channels")
    image = Image.open(io.BytesIO(made.data))
    assert (image.format, image.size, image.mode) == ("JPEG", (24, 20), "RGB")
    assert [part[1:3] for part in image.layer] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[attr-defined]
    if cases.tool("convert_imageset") is not None:
        flags = ("-encode_type=jpg", "images/", "list.txt", "real")
        cases.run_tool("convert_imageset", *flags, cwd=folder)
        assert cases.records(folder / "db") == cases.records(folder / "real")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-check_size", "images/", "sizes.txt", "db"], r"size 3: images/tiny.png; the first"),
        (["images/", "list.txt", "images"], "images: already exists"),
        (["images/", "nowhere.txt", "db"], "nowhere.txt: No such file"),
        (
            ["images/", "labels.txt", "db"],
            "a label is a whole number; this line ends in 'cat'",
        ),
        (["images/", "long.txt", "db"], "long.txt:1: the label 4294967296 has more than 32 bits"),
        (["-backend=hdf5", "images/", "list.txt", "db"], "no backend 'hdf5'"),
        (["-encode_type=gif", "images/", "list.txt", "db"], "no -encode_type 'gif'; the types are"),
        (["-grey", "images/", "list.txt", "db"], "no flag -grey; the flags are -backend"),
        (["-gray=perhaps", "images/", "list.txt", "db"], "-gray is true or false; got 'perhaps'"),
        (["images/", "list.txt"], "Missing argument 'DB_NAME'"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    arguments: list[str], message: str, folder: Path
) -> None:
    tiny = np.zeros((1, 1, 3), np.uint8)
    Image.fromarray(tiny).save(folder / "images" / "tiny.png")
    (folder / "sizes.txt").write_text("a.png 1\ntiny.png 2\n")
    (folder / "labels.txt").write_text("a.png cat\n")
    (folder / "long.txt").write_text("a.png 4294967296\n")
    before = sorted(folder.iterdir())
    done = run("caffe", "convert_imageset", *arguments)
    assert done.status in (1, 2)
    assert re.search(message, done.stderr.splitlines()[-1]), done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_mean_of_images_of_two_sizes_is_refused(folder: Path) -> None:
    (folder / "images" / "tiny.png").write_bytes((folder / "images" / "a.png").read_bytes())
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(folder / "images" / "tiny.png")
    (folder / "list.txt").write_text("a.png 1\ntiny.png 2\n")
    convert()
    done = run("caffe", "compute_image_mean", "db", "mean")
    assert done.status == 1
    assert "Incorrect data field size 60 of record 1; the first has 1440" in done.stderr
    assert not (folder / "mean").exists()


# --- extract_features

NET = """
name: "features"
layer { name: "data" type: "Data" top: "data" top: "label" transform_param { scale: 0.01 }
  data_param { source: "db" batch_size: 3 backend: LMDB } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 5 stride: 4 weight_filler { type: "xavier" } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


def features(path: Path) -> list[tuple[bytes, tuple[int, int, int], list[float]]]:
    with lmdb.open_store(path) as store:
        parsed = [(key, schema.Datum.FromString(value)) for key, value in store.records()]
    assert not any(d.HasField("label") or d.HasField("encoded") or d.data for _, d in parsed)
    return [(k, (d.channels, d.height, d.width), list(d.float_data)) for k, d in parsed]


def test_features_are_the_blobs_of_the_net_in_order(folder: Path) -> None:
    convert()
    (folder / "net.prototxt").write_text(NET)
    caffe.set_random_seed(3)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("net.caffemodel")
    flags = {"weights": "net.caffemodel", "net": "net.prototxt", "blobs": "conv,fc"}
    flags.update(databases="conv_db,fc_db", backend="lmdb", mode="CPU")
    assert tool.run("extract_features", {**flags, "batches": 3, "device": 0}) == 0
    expected: dict[str, list[np.ndarray]] = {"conv": [], "fc": []}
    for _ in range(3):
        net.forward()
        for name, items in expected.items():
            items += [np.array(item, np.float32) for item in net.blobs[name].data]
    real = cases.tool("extract_features")
    if real is not None:
        asked = ["net.caffemodel", "net.prototxt", "conv,fc", "conv_real,fc_real", "3", "lmdb"]
        cases.run_tool("extract_features", *asked, cwd=folder)
    for name, shape in (("conv", (2, 4, 5)), ("fc", (4, 1, 1))):
        found = features(folder / f"{name}_db")
        assert [key for key, _, _ in found] == [b"%010d" % n for n in range(9)]
        assert {one for _, one, _ in found} == {shape}
        for (_, _, values), item in zip(found, expected[name]):
            np.testing.assert_array_equal(np.array(values, np.float32), item.ravel())
        if real is not None:
            theirs = features(folder / f"{name}_real")
            assert [(k, s) for k, s, _ in theirs] == [(k, s) for k, s, _ in found]
            np.testing.assert_allclose(
                [v for _, _, v in found], [v for _, _, v in theirs], rtol=1e-5, atol=1e-5
            )


def test_a_missing_blob_leaves_no_database(folder: Path) -> None:
    convert()
    (folder / "net.prototxt").write_text(NET)
    caffe.Net("net.prototxt", caffe.TEST).save("net.caffemodel")
    flags = {"weights": "net.caffemodel", "net": "net.prototxt", "blobs": "fc,nothing"}
    flags.update(databases="fc_db,other", backend="lmdb", mode="CPU")
    with pytest.raises(caffe.CaffeError, match="unknown feature blob name nothing"):
        tool.run("extract_features", {**flags, "batches": 1, "device": 0})
    with pytest.raises(TinynetError, match="as many blobs as databases; got 2 and 1"):
        tool.run("extract_features", {**flags, "databases": "a", "batches": 1, "device": 0})
    assert not (folder / "fc_db").exists()
