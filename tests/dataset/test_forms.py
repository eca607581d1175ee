"""A set of images gives the same records in every form in which it may be stored."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.forms import (
    FORMS,
    flatten_training,
    keep_a_subset,
    rename_images,
    sort_validation,
    write_parquet,
)
from tests.dataset.layouts import TEST, TRAIN_PER_CLASS, VAL, WNIDS, save_image, write_zip
from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.cli.main import main
from tinynet.dataset.convert import Options, convert
from tinynet.dataset.paths import DataPaths
from tinynet.dataset.split import Fold, Tuning, split
from tinynet.dataset.verify import verify_converted, verify_dataset
from tinynet.errors import TinynetError

SPLITS = ("train", "val", "test")


def records(out: Path, split: str) -> list[tuple[bytes, bytes]]:
    with open_store(DataPaths(out).lmdb(split)) as store:
        return list(store.records())


def contents(out: Path, split: str) -> list[tuple[bytes, int]]:
    """Pixels and label of every record, sorted, so that the names do not matter."""
    found = [decode_datum(value) for _, value in records(out, split)]
    return sorted((pixels.tobytes(), label) for pixels, label in found)


@pytest.fixture
def official(layout: Path, tmp_path: Path) -> Path:
    """A conversion of the published layout."""
    convert(layout, tmp_path / "official")
    return tmp_path / "official"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_class_folders_give_the_same_records_byte_for_byte(
    form: str, zipped: bool, layout: Path, official: Path, tmp_path: Path
) -> None:
    FORMS[form](layout)
    source = write_zip(layout, tmp_path / "small.zip") if zipped else layout
    assert verify_dataset(source).counts == {"train": 3 * TRAIN_PER_CLASS, "val": VAL, "test": TEST}
    convert(source, tmp_path / "out")
    for name in SPLITS:
        assert records(tmp_path / "out", name) == records(official, name)


@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".jpeg", ".png", ".PNG"])
def test_other_file_suffixes_give_the_same_records_under_their_own_names(
    ending: str, layout: Path, official: Path, tmp_path: Path
) -> None:
    rename_images(layout, ending)
    sort_validation(layout)
    assert verify_dataset(layout).grayscale == {"train": 1, "val": 0, "test": 0}
    convert(layout, tmp_path / "out")
    for name in SPLITS:
        wanted = [(key.replace(b".JPEG", ending.encode()), v) for key, v in records(official, name)]
        assert records(tmp_path / "out", name) == wanted


@pytest.mark.parametrize(
    ("files", "val"),
    [
        ("data/{split}-{i:05d}-of-00003-ab12.parquet", "valid"),
        ("{split}-{i}.parquet", "validation"),
        ("default/{split}/{i:04d}.parquet", "val"),
    ],
)
@pytest.mark.parametrize("classes", [sorted(WNIDS), WNIDS])
def test_parquet_files_beside_a_wnids_file_give_the_same_records(
    classes: list[str], files: str, val: str, layout: Path, official: Path, tmp_path: Path
) -> None:
    """The order of the files' own labels must not matter."""
    pytest.importorskip("pyarrow")
    hub = write_parquet(layout, tmp_path / "hub", classes=classes, files=files, val=val)
    for name in ("wnids.txt", "words.txt"):
        shutil.copy(layout / name, hub)
    assert verify_dataset(hub).problems == []
    manifest = convert(hub, tmp_path / "out")
    for name in SPLITS:
        assert records(tmp_path / "out", name) == records(official, name)
    assert manifest.labelled == {"train": True, "val": True, "test": False}
    assert manifest.class_names == ["fish", "cat, house cat", "dog"]


@pytest.mark.parametrize("struct", [True, False], ids=["without paths", "plain bytes"])
def test_parquet_files_without_names_give_the_same_images(
    struct: bool, layout: Path, official: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    options = {"classes": WNIDS, "paths": False, "struct": struct}
    hub = write_parquet(layout, tmp_path / "hub", **options)
    manifest = convert(hub, tmp_path / "out")
    assert manifest.wnids == manifest.class_names == WNIDS
    for name in SPLITS:
        assert contents(tmp_path / "out", name) == contents(official, name)
    assert sorted(manifest.names["val"]) == [f"val_{i}.JPEG" for i in range(VAL)]
    assert len(set(manifest.names["train"])) == 3 * TRAIN_PER_CLASS


def test_classes_come_from_the_parquet_metadata_where_there_is_no_wnids_file(
    layout: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    names = ["tabby cat", "n02", "and/or"]
    relabelled = dict(zip(sorted(WNIDS), names))
    hub = write_parquet(layout, tmp_path / "hub")
    for file in hub.glob("data/*"):
        rename_classes(file, [relabelled[wnid] for wnid in sorted(WNIDS)])
    manifest = convert(hub, tmp_path / "out")
    assert manifest.wnids == ["tabby_cat", "n02", "and_or"]
    assert manifest.class_names == names


def rename_classes(file: Path, names: list[str]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), file)


def test_a_set_without_test_images_is_converted_split_and_verified(
    layout: Path, official: Path, tmp_path: Path
) -> None:
    shutil.rmtree(layout / "test")
    manifest = convert(layout, tmp_path / "out")
    assert manifest.counts == {"train": 3 * TRAIN_PER_CLASS, "val": VAL, "test": 0}
    assert manifest.labelled["test"] is False and manifest.names["test"] == []
    for name in ("train", "val"):
        assert records(tmp_path / "out", name) == records(official, name)
    assert verify_converted(tmp_path / "out").problems == []
    honest = split(tmp_path / "out", tmp_path / "honest", Tuning(0.25, 1))
    assert honest.counts["test"] == VAL
    fold = split(tmp_path / "out", tmp_path / "fold", Fold(1, 3, 1))
    assert fold.counts["test"] == 0 and not fold.labelled["test"]


def test_boxes_of_missing_images_are_ignored(layout: Path, tmp_path: Path) -> None:
    keep_a_subset(layout)
    assert verify_dataset(layout).boxes == 3 * (TRAIN_PER_CLASS - 1)
    for crop in (False, True):
        manifest = convert(layout, tmp_path / f"out{crop}", Options(crop_to_box=crop))
        assert manifest.counts["train"] == 3 * (TRAIN_PER_CLASS - 1)


def test_boxes_are_parsed_only_when_they_are_used(layout: Path, tmp_path: Path) -> None:
    (layout / "train" / "n01" / "n01_boxes.txt").write_bytes(b"n01_0.JPEG\t0\t0\t99\t63\n\xff")
    convert(layout, tmp_path / "out")
    with pytest.raises(TinynetError, match="n01_boxes.txt"):
        convert(layout, tmp_path / "box", Options(crop_to_box=True))


def test_a_subset_of_the_classes_may_keep_all_annotations(layout: Path, tmp_path: Path) -> None:
    (layout / "wnids.txt").write_text("n03\nn01\n")
    shutil.rmtree(layout / "train" / "n02")
    for j in (2, 5):
        (layout / "val" / "images" / f"val_{j}.JPEG").unlink()
    manifest = convert(layout, tmp_path / "out")
    assert manifest.counts["val"] == VAL - 2 and manifest.wnids == ["n03", "n01"]


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def damaged_parquet(**options: Any) -> Callable[[Path], Path]:
    return lambda root: write_parquet(root, root.parent / "hub", **options)


def cut(root: Path) -> Path:
    hub = write_parquet(root, root.parent / "hub")
    file = hub / "data" / "valid-00000-of-00003-ab12.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    return hub


def without(root: Path, pattern: str) -> Path:
    hub = write_parquet(root, root.parent / "hub", per_file=TRAIN_PER_CLASS)
    for file in hub.glob(pattern):
        file.unlink()
    return hub


def beside(root: Path, name: str, text: str) -> Path:
    hub = write_parquet(root, root.parent / "hub")
    (hub / name).write_text(text)
    return hub


def with_rows(root: Path, rows: dict[str, list[Any]], name: str = "valid-x.parquet") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    hub = write_parquet(root, root.parent / "hub")
    pq.write_table(pa.table(rows), hub / "data" / name)
    return hub


# fault: how to make it (a path that it returns is converted), and what the message must say
MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a class folder that is no class": (
        lambda root: (
            sort_validation(root),
            save_image(root / "val" / "n77" / "val_9.JPEG", 1),
        ),
        "val/n77: is not in wnids.txt",
    ),
    "annotations against folders": (
        lambda root: (
            sort_validation(root),
            replace(root / "val/val_annotations.txt", "n01", "n02"),
        ),
        "val_annotations.txt: gives val_1.JPEG the wnid n02, but it is val/n01/val_1.JPEG",
    ),
    "half sorted": (
        lambda root: (
            sort_validation(root),
            (root / "val/n03/val_0.JPEG").rename(root / "val/images/val_0.JPEG"),
        ),
        "val_annotations.txt: names val_1.JPEG (and 4 more), not in val/images",
    ),
    "no image in a flat class folder": (
        lambda root: (
            flatten_training(root),
            [file.unlink() for file in (root / "train" / "n02").glob("*.JPEG")],
        ),
        "class n02 of wnids.txt has no training image",
    ),
    "something else in a flat class folder": (
        lambda root: (flatten_training(root), (root / "train/n02/notes.doc").touch()),
        "train/n02/notes.doc is empty",
    ),
    "class folders without wnids": (
        lambda root: (root / "wnids.txt").unlink(),
        "write it: the name of each folder in train",
    ),
    "parquet cut short": (cut, "valid-00000-of-00003-ab12.parquet: is not a whole parquet file"),
    "parquet without classes": (
        damaged_parquet(metadata=False),
        "put a wnids.txt beside them, one wnid a line",
    ),
    "parquet without validation": (
        lambda root: without(root, "data/valid*"),
        "has no valid-….parquet beside data/test-",
    ),
    "parquet without training": (lambda root: without(root, "data/train*"), "has no train-"),
    "parquet of no split": (
        damaged_parquet(files="data/part-{split}-{i}.parquet"),
        "its name begins with none of train, valid, test",
    ),
    "parquet with other wnids": (
        lambda root: beside(root, "wnids.txt", "n01\nn02\n"),
        "wnids.txt: names other classes than the parquet files do",
    ),
    "parquet with a class twice": (
        damaged_parquet(classes=[*sorted(WNIDS), "n01"]),
        "name a class twice",
    ),
    "parquet without labels": (
        lambda root: with_rows(root, {"image": [b"x"]}),
        "valid-x.parquet: has no column 'label', but image",
    ),
    "parquet with a label beyond": (
        lambda root: with_rows(root, {"image": [b"x"], "label": [3]}),
        "valid-x.parquet: row 0 has the label 3, of 3 classes",
    ),
    "parquet with labels in words": (
        lambda root: with_rows(root, {"image": [b"x"], "label": ["cat"]}),
        "valid-x.parquet: its labels are string",
    ),
    "parquet with paths alone": (
        lambda root: with_rows(root, {"image": ["a.png"], "label": [0]}),
        "valid-x.parquet: its column 'image' holds no encoded images, but image: string",
    ),
    "parquet without an image's bytes": (
        lambda root: with_rows(root, {"image": [b"x", None], "label": [0, 0]}),
        "data/valid-x.parquet:1/val_7.JPEG cannot be read (its row holds no bytes)",
    ),
    "parquet with a name that is no line": (
        lambda root: with_rows(root, {"image": [{"bytes": b"", "path": "a\nb"}], "label": [0]}),
        r"valid-x.parquet:0/a\nb: its name is not printable UTF-8",
    ),
    "parquet with a class less": (
        lambda root: without(root, "data/train-00002*"),
        "class n03 has no training image",
    ),
    "one parquet file": (
        lambda root: next((write_parquet(root, root.parent / "hub") / "data").iterdir()),
        ".parquet: is one file; name the folder with those of every split",
    ),
}


@pytest.mark.parametrize("command", ["convert", "verify"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line(
    mistake: str, command: str, layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if mistake.startswith("parquet") or mistake == "one parquet file":
        pytest.importorskip("pyarrow")
    make, message = MISTAKES[mistake]
    made = make(layout)
    path = made if isinstance(made, Path) else layout
    options = ["--out", str(tmp_path / "out")] if command == "convert" else []
    with pytest.raises(SystemExit) as ended:
        main(["data", command, str(path), *options])
    assert ended.value.code == 1
    stderr = capsys.readouterr().err
    assert message in stderr and stderr.count("\n") == 1 and stderr.startswith("tinynet: ")
    assert not (tmp_path / "out").exists()


def test_a_missing_pyarrow_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub").mkdir()
    for name in ("train-0.parquet", "valid-0.parquet"):
        (tmp_path / "hub" / name).touch()
    plain = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return plain(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(TinynetError, match=r"pyarrow, .*: pip install 'tinynet\[parquet\]'$"):
        verify_dataset(tmp_path / "hub")
