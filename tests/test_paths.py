"""The layout on disk that scripts and people rely on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinynet.dataset.paths import DataPaths
from tinynet.experiment.paths import StagePaths
from tinynet.run.paths import RunPaths

REPOSITORY = Path(__file__).parents[1]


def names(paths: object, *attributes: str) -> list[str]:
    return [getattr(paths, attribute).as_posix() for attribute in attributes]


def test_a_stage_has_three_files_and_a_member_its_own_folder() -> None:
    assert names(
        StagePaths(Path("prototxt"), "stage1_simple"), "train_val", "deploy", "solver"
    ) == [
        "prototxt/stage1_simple/train_val.prototxt",
        "prototxt/stage1_simple/deploy.prototxt",
        "prototxt/stage1_simple/solver.prototxt",
    ]
    member = StagePaths(Path("/x"), "stage8_ensemble", 3)
    assert member.solver == Path("/x/stage8_ensemble/member03/solver.prototxt")


def test_a_data_set_has_three_lmdbs_mean_and_manifest() -> None:
    paths = DataPaths(Path("d"))
    assert names(paths, "train_lmdb", "val_lmdb", "test_lmdb", "mean_binaryproto", "manifest") == [
        "d/train_lmdb",
        "d/val_lmdb",
        "d/test_lmdb",
        "d/mean.binaryproto",
        "d/manifest.json",
    ]
    with pytest.raises(ValueError, match="no split 'dev'"):
        paths.lmdb("dev")


def test_a_run_keeps_everything_in_its_directory() -> None:
    paths = RunPaths.of(Path("runs"), "stage7_dropout2", "seed1")
    attributes = [
        "solver",
        "train_val",
        "deploy",
        "run_json",
        "log",
        "history",
        "snapshots",
        "lock",
    ]
    assert names(paths, *attributes) == [
        f"runs/stage7_dropout2/seed1/{name}"
        for name in (
            *("solver.prototxt", "train_val.prototxt", "deploy.prototxt", "run.json"),
            *("train.log", "history.jsonl", "snapshots", "run.lock"),
        )
    ]
    assert paths.probabilities("val").name == "val.npz"
    assert paths.probabilities("test", oversample=True).name == "test_10crop.npz"


def test_snapshots_beside_a_committed_solver_are_ignored_by_git() -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    prefix = StagePaths(Path("prototxt"), "stage1_simple").snapshot_prefix
    snapshots = [f"{prefix}_iter_10.{kind}" for kind in ("caffemodel", "solverstate")]
    done = subprocess.run(
        ["git", "check-ignore", *snapshots], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout.split() == snapshots
