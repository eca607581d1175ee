"""The commands as a user runs them: exit status, one line on stderr, result on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.cli import command
from tests.dataset.layouts import save_image, write_layout, write_zip
from tinynet.dataset.convert import CONTENTS


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "small")


run = partial(command.run, "data")


def test_verify_convert_and_verify_again(layout: Path, tmp_path: Path) -> None:
    status, out, err = run("verify", layout)
    assert (status, err) == (0, "")
    assert "data set of 3 classes" in out
    assert "train       12 images, 1 grayscale, 12 with a box" in out
    assert "no labels" in out
    status, out, err = run("convert", layout, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "3 classes; 12 train, 6 val, 3 test images" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == CONTENTS
    status, out, err = run("verify", tmp_path / "out")
    assert (status, err) == (0, "") and "converted data set of 3 classes" in out


def test_json_output_is_one_object(layout: Path, tmp_path: Path) -> None:
    _, out, _ = run("convert", layout, "--out", tmp_path / "out", "--json", "--seed", 3)
    content = json.loads(out)
    assert content["counts"] == {"train": 12, "val": 6, "test": 3}
    assert content["seed"] == 3 and len(content["mean_values"]) == 3
    _, out, _ = run("verify", layout, "--json")
    assert json.loads(out)["grayscale"] == {"train": 1, "val": 0, "test": 0}


def test_convert_writes_to_data_lmdb_by_default(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("convert", layout)[0] == 0
    assert (tmp_path / "data" / "lmdb" / "manifest.json").is_file()


def test_synthesize_then_convert_needs_no_download(tmp_path: Path) -> None:
    sizes = ["--classes", "3", "--train-per-class", "2", "--val-per-class", "1"]
    status, out, err = run("synthesize", "--out", tmp_path / "shapes", *sizes)
    assert (status, err) == (0, "") and "3 classes; 6 train, 3 val, 30 test images" in out
    assert run("convert", tmp_path / "shapes", "--out", tmp_path / "out")[0] == 0


# what a user may do wrong, as DATASET arguments for convert
def no_split(root: Path) -> Path:
    shutil.rmtree(root / "val")
    return root


def unknown_wnid(root: Path) -> Path:
    (root / "wnids.txt").write_text("n01\nn02\n")
    return root


def annotation_without_file(root: Path) -> Path:
    (root / "val" / "images" / "val_0.JPEG").unlink()
    return root


def truncated(root: Path) -> Path:
    path = root / "train" / "n01" / "images" / "n01_0.JPEG"
    path.write_bytes(path.read_bytes()[:-60])
    return root


def no_jpeg(root: Path) -> Path:
    (root / "test" / "images" / "test_2.JPEG").write_text("no image")
    return root


def another_size(root: Path) -> Path:
    save_image(root / "val" / "images" / "val_0.JPEG", 1, size=(48, 64))
    return root


def empty_class(root: Path) -> Path:
    shutil.rmtree(root / "train" / "n03" / "images")
    (root / "train" / "n03" / "images").mkdir()
    return root


def zip_outside(root: Path) -> Path:
    path = write_zip(root, root.parent / "small.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("small/../../escaped.txt", "x")
    return path


def absent(root: Path) -> Path:
    return root.parent / "absent.zip"


MISTAKES = {
    no_split: "val: no such folder",
    unknown_wnid: "train/n03: is not in wnids.txt",
    annotation_without_file: "names val_0.JPEG, not in val/images",
    truncated: "1 image cannot be used: train/n01/images/n01_0.JPEG is truncated",
    no_jpeg: "1 image cannot be used: test/images/test_2.JPEG is neither a JPEG nor a PNG",
    another_size: "1 image cannot be used: val/images/val_0.JPEG is 48×64, not 64×64",
    empty_class: "class n03 of wnids.txt has no training image",
    zip_outside: "leads outside",
    absent: "absent.zip: no such folder or zip",
}


@pytest.mark.parametrize("command", ["convert", "verify"])
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_wrong_data_set_gets_one_line_and_nothing_is_written(
    layout: Path, tmp_path: Path, mistake: object, command: str
) -> None:
    dataset = mistake(layout)  # type: ignore[operator]
    before = {path.name for path in tmp_path.iterdir()}
    options = ["--out", tmp_path / "made" / "out"] if command == "convert" else []
    status, out, err = run(command, dataset, *options)
    assert status == (2 if mistake is absent else 1)  # wrong use: the named path does not exist
    assert err.startswith("tinynet: ") and err.count("\n") == 1
    assert MISTAKES[mistake] in err  # type: ignore[index]
    assert {path.name for path in tmp_path.iterdir()} - {"made"} == before
    assert not (tmp_path / "made").exists() or not any((tmp_path / "made").iterdir())


def test_skip_bad_continues_and_names_the_images_left_out(layout: Path, tmp_path: Path) -> None:
    truncated(layout)
    arguments = ["convert", layout, "--out", tmp_path / "out", "--skip-bad"]
    status, out, err = run(*arguments)
    assert status == 0 and "11 train" in out
    assert err == "tinynet: left out 1 bad image: train/n01/images/n01_0.JPEG\n"


def test_an_existing_output_is_refused_without_overwrite(layout: Path, tmp_path: Path) -> None:
    arguments = ["convert", layout, "--out", tmp_path / "out"]
    assert run(*arguments)[0] == 0
    status, _, err = run(*arguments)
    assert (status, err) == (
        1,
        f"tinynet: {tmp_path}/out: exists; pass --overwrite to replace it\n",
    )
    assert run(*arguments, "--overwrite")[0] == 0


def test_verify_says_what_is_wrong_with_a_conversion(layout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "converted"  # a name that is no advice
    run("convert", layout, "--out", folder)
    shutil.rmtree(folder / "test_lmdb")
    status, out, err = run("verify", folder)
    assert status == 1 and "bad: " in out and err.count("\n") == 1
    shutil.copytree(folder / "val_lmdb", folder / "test_lmdb")
    status, out, err = run("verify", folder)
    assert status == 1 and err.endswith("; convert the data set again\n")
    (folder / "manifest.json").unlink()
    status, out, err = run("verify", folder)
    assert status == 1 and "not a finished conversion" in err and err.count("\n") == 1


def test_a_read_only_folder_gets_one_line(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = run("convert", layout, "--out", tmp_path / "file" / "out")
    assert status == 1 and err.count("\n") == 1 and "file" in err


def test_fetch_from_an_unreachable_address_gets_one_line(tmp_path: Path) -> None:
    status, _, err = run("fetch", "--out", tmp_path, "--url", "no-address")
    assert status == 2 and err.count("\n") == 1 and "no-address" in err


@pytest.mark.parametrize("command", ["verify", "convert", "synthesize", "fetch"])
def test_every_help_shows_an_example_that_parses(command: str) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    example = next(line.split() for line in out.splitlines() if line.startswith("    tinynet data"))
    assert example[:3] == ["tinynet", "data", command]
    from tinynet.cli.data import data

    data.commands[command].make_context(command, example[3:])


def test_wrong_use_has_status_2(tmp_path: Path) -> None:
    assert run("synthesize")[0] == 2
    assert run("convert", tmp_path, "--jobs", "0")[0] == 2
    assert run("synthesize", "--out", tmp_path / "x", "--classes", "1")[0] == 2


@pytest.mark.parametrize("work", ["convert", "synthesize"])
def test_a_full_device_gets_one_line_that_says_so(layout: Path, tmp_path: Path, work: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    small = tmp_path / "device"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=200k none "{small}" && exec "$@"'
    unshare = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*unshare, mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    command = ["-m", "tinynet", "data", work, "--out", str(small / "out")]
    command += [str(layout)] if work == "convert" else []
    child = subprocess.run(
        [*unshare, mount, "sh", sys.executable, *command], capture_output=True, text=True
    )
    assert child.returncode == 1 and child.stderr.count("\n") == 1
    assert child.stderr.startswith(f"tinynet: {small / 'out'}: no space left")


def test_a_converted_set_is_refused_as_input_with_the_reason(layout: Path, tmp_path: Path) -> None:
    out = tmp_path / "lmdb"
    assert run("convert", layout, "--out", out)[0] == 0
    before = sorted(path for path in out.rglob("*"))
    for source, rest in [
        (out, ["--out", out, "--overwrite"]),
        (out / "train_lmdb", ["--out", out]),
    ]:
        status, _, err = run("convert", source, *rest)
        assert (status, err.count("\n")) == (1, 1)
        assert f"{source}: is converted already, and no images" in err and f"--data {out}'" in err
    assert sorted(path for path in out.rglob("*")) == before


def test_the_folder_above_the_data_set_is_refused_by_naming_the_data_set(
    layout: Path, tmp_path: Path
) -> None:
    status, _, err = run("convert", layout.parent, "--out", tmp_path / "lmdb")
    assert (status, err.count("\n")) == (1, 1)
    assert err.rstrip().endswith(f"not a Tiny ImageNet layout; {layout} is one")


@pytest.mark.parametrize("checksum", ["", "xyz", "0" * 31, "0" * 33, "g" * 32])
def test_a_checksum_is_32_hexadecimal_digits(checksum: str, tmp_path: Path) -> None:
    out = tmp_path / "data"
    status, _, err = run("fetch", "--out", out, "--md5", checksum)
    assert (status, err.count("\n")) == (2, 1)
    assert "an MD5 checksum is 32 hexadecimal digits" in err and not out.exists()


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/a.zip", "http:///a.zip", "http://host/", "http://[host/a.zip"]
    + [f"http://host/{name}.zip" for name in ("", ".", "..", "a%0Ab", "%2e%2e%2f..", "-x")],
)
def test_an_address_that_names_no_folder_is_wrong_use(url: str, tmp_path: Path) -> None:
    out = tmp_path / "data"
    status, _, err = run("fetch", "--out", out, "--url", url, "--md5", "0" * 32)
    assert (status, err.count("\n")) == (2, 1), err
    assert not out.exists()
