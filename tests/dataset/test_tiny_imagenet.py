from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dataset.layouts import TEST, TRAIN_PER_CLASS, VAL, WNIDS, save_image, write_zip
from tinynet.dataset.annotations import Box
from tinynet.dataset.image_set import UNKNOWN
from tinynet.dataset.tiny_imagenet import TinyImagenet
from tinynet.errors import TinynetError


def test_class_index_is_the_line_in_wnids_and_not_the_sorted_order(layout: Path) -> None:
    with TinyImagenet(layout) as dataset:
        assert dataset.wnids == ["n03", "n01", "n02"]
        assert dataset.class_names == ["fish", "cat, house cat", "dog"]
        for image in dataset.images["train"]:
            assert image.path.split("/")[1] == WNIDS[image.label]
        labels = {image.name: image.label for image in dataset.images["val"]}
        assert labels == {f"val_{j}.JPEG": j % 3 for j in range(VAL)}


def test_every_image_is_found_with_its_box_and_test_has_no_labels(layout: Path) -> None:
    with TinyImagenet(layout) as dataset:
        assert {split: len(found) for split, found in dataset.images.items()} == {
            "train": 3 * TRAIN_PER_CLASS,
            "val": VAL,
            "test": TEST,
        }
        boxes = {image.name: image.box for image in dataset.images["train"]}
        assert boxes["n02_2.JPEG"] == Box(2, 4, 42, 52)
        assert {image.label for image in dataset.images["test"]} == {UNKNOWN}
        assert dataset.labelled == {"train": True, "val": True, "test": False}


@pytest.mark.parametrize("folder_entries", [False, True])
def test_a_zip_holds_the_same_data_set_as_its_folder(
    layout: Path, tmp_path: Path, folder_entries: bool
) -> None:
    path = write_zip(layout, tmp_path / "renamed.zip", folder_entries)
    with TinyImagenet(layout) as folder, TinyImagenet(path) as zipped:
        assert zipped.images == folder.images
        assert zipped.class_names == folder.class_names
        assert zipped.text_digests == folder.text_digests
        assert zipped.files.name == folder.files.name == "small"
        for image in zipped.images["val"]:
            assert zipped.files.read(image.path) == folder.files.read(image.path)


def test_a_test_split_may_have_annotations(layout: Path) -> None:
    lines = [f"test_{j}.JPEG\t{WNIDS[j]}\n" for j in range(TEST)]
    (layout / "test" / "test_annotations.txt").write_text("".join(lines))
    with TinyImagenet(layout) as dataset:
        assert [image.label for image in dataset.images["test"]] == [0, 1, 2]
        assert dataset.labelled["test"]


def test_names_and_boxes_may_be_missing_and_desktop_files_are_ignored(layout: Path) -> None:
    (layout / "words.txt").unlink()
    (layout / "train" / "n01" / "n01_boxes.txt").unlink()
    (layout / "train" / ".DS_Store").touch()
    (layout / "val" / "images" / ".DS_Store").touch()
    with TinyImagenet(layout) as dataset:
        assert dataset.class_names == WNIDS
        assert len(dataset.images["val"]) == VAL
        assert sum(image.box is None for image in dataset.images["train"]) == TRAIN_PER_CLASS


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


# fault: how to make it, and what the error must say
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no wnids": (lambda root: (root / "wnids.txt").unlink(), "wnids.txt: no such file"),
    "no train": (lambda root: shutil.rmtree(root / "train"), "train: no such folder"),
    "no val": (lambda root: shutil.rmtree(root / "val"), "val: no such folder"),
    "train wnid unknown": (
        lambda root: save_image(root / "train" / "n77" / "images" / "n77_0.JPEG", 1),
        "train/n77: is not in wnids.txt",
    ),
    "val wnid unknown": (
        lambda root: replace(root / "val" / "val_annotations.txt", "n01", "n77"),
        "val_annotations.txt: gives val_1.JPEG the wnid n77, not in wnids.txt",
    ),
    "val annotation names no file": (
        lambda root: (root / "val" / "images" / "val_4.JPEG").unlink(),
        "val_annotations.txt: names val_4.JPEG, not in val/images",
    ),
    "val image not annotated": (
        lambda root: save_image(root / "val" / "images" / "val_99.JPEG", 1),
        "val_annotations.txt: does not name val/images/val_99.JPEG",
    ),
    "no val annotations": (
        lambda root: (root / "val" / "val_annotations.txt").unlink(),
        "val_annotations.txt: no such file",
    ),
    "empty class": (
        lambda root: [file.unlink() for file in (root / "train" / "n02" / "images").iterdir()],
        "train/n02/images: class n02 of wnids.txt has no training image",
    ),
    "absent class": (
        lambda root: (root / "wnids.txt").open("a").write("n04\n"),
        "class n04 of wnids.txt has no training image",
    ),
    "no test image": (
        lambda root: [
            [file.unlink() for file in (root / "test" / "images").iterdir()],
            (root / "test" / "notes.txt").touch(),  # a zip of files alone has no empty folders
        ],
        "test/images: holds no image",
    ),
    "wnids not text": (
        lambda root: (root / "wnids.txt").write_bytes(b"\xff\xfe"),
        "wnids.txt: is not text",
    ),
    "an image's name that is no line": (
        lambda root: (root / "val" / "images" / "a\nb.JPEG").touch(),
        r"val/images/a\nb.JPEG: its name is not printable UTF-8; rename it",
    ),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_fault_of_a_data_set_is_reported_in_one_line(
    layout: Path, tmp_path: Path, damage: str, zipped: bool
) -> None:
    make, message = DAMAGES[damage]
    make(layout)
    path = write_zip(layout, tmp_path / "small.zip") if zipped else layout
    with pytest.raises(TinynetError) as error:
        TinyImagenet(path)
    assert message in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_image_whose_name_is_not_utf8_is_refused(layout: Path) -> None:
    (layout / "train/n01/images" / os.fsdecode(b"\xff.JPEG")).touch()
    with pytest.raises(TinynetError, match=r"n01/images/\\udcff.JPEG: its name is not printable"):
        TinyImagenet(layout)


def test_a_path_that_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="absent: no such folder or zip"):
        TinyImagenet(tmp_path / "absent")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(TinynetError, match=r"text\.zip: is not a whole zip"):
        TinyImagenet(tmp_path / "text.zip")


def test_a_truncated_zip_is_refused(layout: Path, tmp_path: Path) -> None:
    path = write_zip(layout, tmp_path / "small.zip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TinynetError, match="is not a whole zip"):
        TinyImagenet(path)
