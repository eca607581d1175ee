"""Packed runs unpack to the same results, and no pack exceeds the size limits."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.study.results_by_hand import add_run, begin
from tinynet.errors import TinynetError
from tinynet.study.dissection_table import build
from tinynet.study.packing import TABLE, Limits, pack
from tinynet.study.results import ResultsPaths, read_dissection, write_dissection


def unpacked(folder: Path, into: Path) -> ResultsPaths:
    into.mkdir()
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            tar.extractall(into)
    return ResultsPaths(into)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_unpacking_restores_the_results_folder_from_packs_by_run(tmp_path: Path) -> None:
    results = begin(tmp_path / "results")
    for run, seed in (("stage1_simple/seed1", 1), ("stage2_dropout1/seed1", 1)):
        add_run(results, run, seed, one_crop=[0, seed])
        write_dissection(results.root, build(results))
        assert pack(results, tmp_path / "out") == []
    (results.root / "stage2_dropout1" / ".seed2.half").mkdir()  # one that is being written
    (results.root / "stage2_dropout1" / ".seed2.half" / "scores.json").write_text("{")
    assert pack(results, tmp_path / "out") == []
    again = unpacked(tmp_path / "out", tmp_path / "again")
    assert build(again) == build(results) == read_dissection(again.root)
    whole = {k: v for k, v in contents(results.root).items() if ".half" not in k}
    assert contents(again.root) == whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["runs1.tar", TABLE]


def test_size_limits_are_kept_and_runs_left_out_are_named(tmp_path: Path) -> None:
    results = begin(tmp_path / "results", seeds=list(range(1, 8)))
    names = [f"stage1_simple/seed{seed}" for seed in range(1, 8)]
    for seed, name in enumerate(names, 1):
        add_run(results, name, seed, one_crop=[0])
    size = max(
        sum(path.stat().st_size + 1024 for path in (results.root / name).iterdir())
        for name in names
    )
    limits = Limits(file=2 * size + 12_000, all=10**9, files=4)
    left = pack(results, tmp_path / "out", limits)
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == ["runs1.tar", "runs2.tar", "runs3.tar", TABLE]
    assert all(path.stat().st_size <= limits.file for path in made)
    assert len(left) == 1 and left[0] in names
    held = unpacked(tmp_path / "out", tmp_path / "again")
    assert {name for name in names if held.scores(name).exists()} == {*names} - {*left}
    # all of them together
    total = Limits(file=10**9, all=3 * size + 40_000, files=4)
    pack(results, tmp_path / "few", total)
    assert sum(path.stat().st_size for path in (tmp_path / "few").iterdir()) <= total.all


def test_a_foreign_file_in_place_of_a_pack_is_refused_by_name(tmp_path: Path) -> None:
    results = begin(tmp_path / "results")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs1.tar").write_text("no tar")
    with pytest.raises(TinynetError, match="runs1.tar: is not a tar file of packed runs"):
        pack(results, tmp_path / "out")
