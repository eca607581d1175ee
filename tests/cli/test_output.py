"""Output of commands arrives whatever the file names and the terminal's encoding."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import command
from tests.dataset.layouts import save_image, write_layout


def run(encoding: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tinynet", *arguments],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )


def test_a_name_that_is_not_utf8_is_printed_unchanged(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"\xff")
    sizes = [f"--{split}-per-class=1" for split in ("train", "val", "test")]
    child = run("utf-8:strict", "data", "synthesize", "--out", out, "--classes=2", *sizes)
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith(os.fsencode(out) + b": 2 classes")


def test_a_name_for_a_prototxt_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    child = run("utf-8", "generate", "--stage", "1", "--out", tmp_path / os.fsdecode(b"p\xff"))
    assert child.returncode == 1
    assert child.stderr.startswith(f"tinynet: {tmp_path}/p\\udcff/stage1".encode())
    assert child.stderr.endswith(b": is not UTF-8, and the file to be written must be; rename it\n")
    assert child.stderr.count(b"\n") == 1 and list(tmp_path.iterdir()) == []


def test_characters_missing_from_the_terminals_encoding_are_escaped(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "small")
    save_image(layout / "train/n01/images/n01_0.JPEG", seed=0, size=(9, 9))
    child = run("cp437", "data", "verify", layout)  # (as ASCII click writes UTF-8)
    assert child.returncode == 1
    assert b"n01_0.JPEG is 9\\xd79, not 64\\xd764\n" in child.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_output_to_a_stream_closed_by_the_shell_is_discarded(closed: str, tmp_path: Path) -> None:
    out = tmp_path / "prototxt"
    words = [sys.executable, "-m", "tinynet", "generate", "--stage", "1", "--out", str(out)]
    child = subprocess.run(
        ["sh", "-c", f"{shlex.join(words)} {closed}"], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    assert "Traceback" not in child.stderr
    # no output file was opened with the closed stream's descriptor: each has only its own text
    assert (out / "stage1_simple/deploy.prototxt").read_text().startswith("# ")
    assert (
        subprocess.run(
            ["sh", "-c", f"{shlex.join([*words[:3], 'stages', '--stage', '99'])} {closed}"]
        ).returncode
        == 2
    )


def test_a_file_in_place_of_a_folder_or_the_reverse_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, message in (
        (("parity", tmp_path), "is a folder, but must be a file"),
        (("dissect", tmp_path / "file"), "leads through a file, not a folder"),
    ):
        done = command.run(*arguments)
        assert done.status == 1
        assert done.stderr.startswith(f"tinynet: {tmp_path}") and message in done.stderr
        assert done.stderr.count("\n") == 1
