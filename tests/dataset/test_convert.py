from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.dataset.layouts import TEST, TRAIN_PER_CLASS, VAL, WNIDS, save_image, write_zip
from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.dataset import convert as convert_module
from tinynet.dataset.convert import Options, convert
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.errors import TinynetError


def records(out: Path, split: str) -> list[tuple[str, np.ndarray, int]]:
    with open_store(DataPaths(out).lmdb(split)) as store:
        return [(key.decode(), *decode_datum(value)) for key, value in store.records()]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock.mdb"
    }


def test_every_record_holds_its_image_in_bgr_and_its_label(layout: Path, tmp_path: Path) -> None:
    manifest = convert(layout, tmp_path / "out")
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest.counts == {"train": 3 * TRAIN_PER_CLASS, "val": VAL, "test": TEST}
    wanted_labels = {
        **{f"{w}_{j}.JPEG": i for i, w in enumerate(WNIDS) for j in range(TRAIN_PER_CLASS)},
        **{f"val_{j}.JPEG": j % 3 for j in range(VAL)},
        **{f"test_{j}.JPEG": 0 for j in range(TEST)},  # no label
    }
    for split in ("train", "val", "test"):
        found = records(tmp_path / "out", split)
        keys = [f"{i:08d}_{name}" for i, name in enumerate(manifest.names[split])]
        assert [key for key, _, _ in found] == keys
        for name, (_, pixels, label) in zip(manifest.names[split], found):
            (path,) = layout.glob(f"{split}/**/{name}")
            with Image.open(path) as plain:
                rgb = np.asarray(plain.convert("RGB"))
            np.testing.assert_array_equal(pixels, rgb[:, :, ::-1].transpose(2, 0, 1))
            assert label == wanted_labels[name]
    assert manifest.labelled == {"train": True, "val": True, "test": False}
    assert manifest.wnids == WNIDS


def test_the_mean_is_that_of_the_training_images(layout: Path, tmp_path: Path) -> None:
    manifest = convert(layout, tmp_path / "out")
    pixels = np.stack([pixels for _, pixels, _ in records(tmp_path / "out", "train")])
    np.testing.assert_allclose(manifest.mean_values, pixels.mean((0, 2, 3)), rtol=1e-6)


def test_one_seed_gives_the_same_bytes_from_folder_and_zip_with_any_number_of_processes(
    layout: Path, tmp_path: Path
) -> None:
    zipped = write_zip(layout, tmp_path / "small.zip")
    convert(layout, tmp_path / "a")
    convert(zipped, tmp_path / "b", jobs=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_gives_another_order_of_the_same_images(layout: Path, tmp_path: Path) -> None:
    one = convert(layout, tmp_path / "one")
    two = convert(layout, tmp_path / "two", Options(seed=2))
    assert one.names["train"] != two.names["train"] != sorted(two.names["train"])
    assert sorted(one.names["train"]) == sorted(two.names["train"])
    assert one.source_sha256 == two.source_sha256 and (one.seed, two.seed) == (1, 2)


def test_a_changed_image_changes_the_source_hash(layout: Path, tmp_path: Path) -> None:
    before = convert(layout, tmp_path / "before")
    save_image(layout / "val" / "images" / "val_0.JPEG", seed=999)
    after = convert(layout, tmp_path / "after")
    assert before.source_sha256 != after.source_sha256


def test_crop_to_box_changes_only_training_images(layout: Path, tmp_path: Path) -> None:
    convert(layout, tmp_path / "whole")
    manifest = convert(layout, tmp_path / "box", Options(crop_to_box=True))
    assert manifest.options["crop_to_box"] is True
    same = {
        split: [
            np.array_equal(a[1], b[1])
            for a, b in zip(records(tmp_path / "whole", split), records(tmp_path / "box", split))
        ]
        for split in ("train", "val", "test")
    }
    assert not any(same["train"]) and all(same["val"]) and all(same["test"])
    # against Pillow's own two steps: cut, then scale
    name = manifest.names["train"][0]
    j = int(name[4])
    with Image.open(layout / "train" / name[:3] / "images" / name) as plain:
        part = plain.convert("RGB").crop((j, 2 * j, 41 + j, 51 + j))
    rgb = np.asarray(part.resize((64, 64), Image.Resampling.BILINEAR))
    found = records(tmp_path / "box", "train")[0][1]
    np.testing.assert_array_equal(found, rgb[:, :, ::-1].transpose(2, 0, 1))


def test_crop_to_box_needs_a_box_for_every_training_image(layout: Path, tmp_path: Path) -> None:
    (layout / "train" / "n02" / "n02_boxes.txt").unlink()
    with pytest.raises(TinynetError, match=r"n02_0\.JPEG: has no box .* nor have 3 others"):
        convert(layout, tmp_path / "out", Options(crop_to_box=True))
    assert_nothing_left(tmp_path)


def damage_three(layout: Path) -> None:
    whole = (layout / "train" / "n01" / "images" / "n01_2.JPEG").read_bytes()
    (layout / "train" / "n01" / "images" / "n01_2.JPEG").write_bytes(whole[:-100])
    (layout / "val" / "images" / "val_3.JPEG").write_bytes(b"<html>not found</html>")
    save_image(layout / "test" / "images" / "test_1.JPEG", seed=1, size=(80, 64))


def test_bad_images_are_counted_and_named_and_nothing_is_written(
    layout: Path, tmp_path: Path
) -> None:
    damage_three(layout)
    with pytest.raises(TinynetError) as error:
        convert(layout, tmp_path / "out")
    message = str(error.value)
    for part in (
        "3 images cannot be used",
        "train/n01/images/n01_2.JPEG is truncated",
        "val/images/val_3.JPEG is neither a JPEG nor a PNG",
        "test/images/test_1.JPEG is 80×64, not 64×64",
        "--skip-bad",
    ):
        assert part in message
    assert "\n" not in message
    assert_nothing_left(tmp_path)


def test_skip_bad_leaves_bad_images_out_and_lists_them(layout: Path, tmp_path: Path) -> None:
    damage_three(layout)
    manifest = convert(layout, tmp_path / "out", Options(skip_bad=True))
    assert manifest.skipped == [
        "train/n01/images/n01_2.JPEG",
        "val/images/val_3.JPEG",
        "test/images/test_1.JPEG",
    ]
    assert manifest.counts == {"train": 3 * TRAIN_PER_CLASS - 1, "val": VAL - 1, "test": TEST - 1}
    assert "n01_2.JPEG" not in manifest.names["train"]
    keys = [key for key, _, _ in records(tmp_path / "out", "train")]
    assert [int(key[:8]) for key in keys] == list(range(manifest.counts["train"]))


def test_skip_bad_still_refuses_a_class_without_a_good_image(layout: Path, tmp_path: Path) -> None:
    for path in (layout / "train" / "n02" / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(TinynetError, match="train/n02: no image of this class can be used"):
        convert(layout, tmp_path / "out", Options(skip_bad=True))
    assert_nothing_left(tmp_path)


def test_an_existing_output_is_kept_without_overwrite(layout: Path, tmp_path: Path) -> None:
    convert(layout, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(TinynetError, match="out: exists; pass --overwrite"):
        convert(layout, tmp_path / "out", Options(seed=5))
    assert contents(tmp_path / "out") == before
    assert convert(layout, tmp_path / "out", Options(seed=5), overwrite=True).seed == 5
    assert read_manifest(tmp_path / "out").seed == 5
    assert_nothing_left(tmp_path, "out")


def test_a_failed_overwrite_keeps_what_was_there(layout: Path, tmp_path: Path) -> None:
    convert(layout, tmp_path / "out")
    before = contents(tmp_path / "out")
    damage_three(layout)
    with pytest.raises(TinynetError):
        convert(layout, tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == before
    assert_nothing_left(tmp_path, "out")


def test_overwrite_never_removes_a_folder_with_other_files(layout: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(TinynetError, match=r"home: holds other files, such as thesis\.tex"):
        convert(layout, home, overwrite=True)
    with pytest.raises(TinynetError, match="small: holds other files"):
        convert(layout, layout, overwrite=True)
    with pytest.raises(TinynetError, match=r"thesis\.tex: is a file"):
        convert(layout, home / "thesis.tex", overwrite=True)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_too_little_space_is_reported_before_the_work_starts(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(TinynetError, match="out: no space left: 21 images need 0 MB"):
        convert(layout, tmp_path / "out")
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device", "x"), KeyboardInterrupt(), MemoryError()],
)
def test_an_error_half_way_leaves_nothing(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write = convert_module.write_store

    def fail_at_val(path: Path, found: Any) -> int:
        if path.name == "val_lmdb":
            raise error
        return write(path, found)

    monkeypatch.setattr(convert_module, "write_store", fail_at_val)
    with pytest.raises(type(error)):
        convert(layout, tmp_path / "out")
    assert_nothing_left(tmp_path)


# Converts, and hangs between the training and the validation images.
STOPPING = """
import sys, time
from tinynet.cli.main import main
from tinynet.dataset import convert
write = convert.write_store
def stop_at_val(path, found):
    if path.name == "val_lmdb":
        print("stopped", flush=True)
        time.sleep(3600)
    return write(path, found)
convert.write_store = stop_at_val
if __name__ == "__main__":
    main(["data", "convert", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_an_interrupted_conversion_is_never_taken_for_a_finished_one(
    layout: Path, tmp_path: Path, number: int, status: int
) -> None:
    script = tmp_path / "stopping.py"
    script.write_text(STOPPING)
    child = subprocess.Popen(
        [sys.executable, str(script), str(layout), "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert child.stdout is not None and child.stdout.readline() == b"stopped\n"
    (partial,) = tmp_path.glob(".out.partial-*")
    assert not (partial / "manifest.json").exists()
    # another conversion does not touch one that is under way
    convert(layout, tmp_path / "out")
    assert partial.exists()
    shutil.rmtree(tmp_path / "out")
    child.send_signal(number)
    assert child.wait() == status
    child.stdout.close()
    assert not (tmp_path / "out").exists()
    if number == signal.SIGKILL:
        assert partial.exists()  # the killed process could not remove it: the next conversion does
        convert(layout, tmp_path / "out")
    assert_nothing_left(tmp_path, *(["out"] if number == signal.SIGKILL else []))


def test_a_link_to_the_output_folder_stays_and_leftovers_are_removed(
    layout: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "lmdb").mkdir(parents=True)
    (tmp_path / "out").symlink_to(scratch / "lmdb")
    # what a process leaves that is killed while it removes the folder that it has replaced
    (scratch / ".lmdb.partial-x-replaced").mkdir()
    convert(layout, tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert (scratch / "lmdb/manifest.json").exists()
    assert [path.name for path in scratch.iterdir()] == ["lmdb"]


def test_a_mount_point_is_refused_before_the_conversion(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "out")
    with pytest.raises(TinynetError, match="is a mount point.*name a folder in it with --out"):
        convert(layout, tmp_path / "out")


def test_the_manifest_is_written_last(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    write: Callable[..., None] = convert_module.write_manifest

    def watch(manifest: Any, folder: Path) -> None:
        seen.append({path.name for path in folder.iterdir()})
        write(manifest, folder)

    monkeypatch.setattr(convert_module, "write_manifest", watch)
    convert(layout, tmp_path / "out")
    (before,) = seen
    assert {"train_lmdb", "val_lmdb", "test_lmdb", "mean.binaryproto"} <= before
    assert "manifest.json" not in before


def test_the_output_is_readable_by_others_as_the_umask_allows(layout: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        convert(layout, tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_the_manifest_is_json_that_other_programs_read(layout: Path, tmp_path: Path) -> None:
    convert(layout, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert content["source"] == "small" and len(content["names"]["val"]) == VAL


def assert_nothing_left(folder: Path, *besides: str) -> None:
    found = {path.name for path in folder.iterdir()}
    assert found <= {"small", "small.zip", "stopping.py", *besides}, found
