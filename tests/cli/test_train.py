"""What ``tinynet train`` accepts as a solver, and its messages about everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run
from tests.run import small_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a small solver, its net, and no data: nothing trains."""
    monkeypatch.chdir(tmp_path)
    Path("small").mkdir()
    Path("small/train_val.prototxt").write_text(small_runs.NET)
    Path("small/solver.prototxt").write_text(small_runs.SOLVER)
    return Path("small")


def test_a_net_given_as_a_solver_is_recognised_and_its_solver_named(folder: Path) -> None:
    done = run("train", folder / "train_val.prototxt")
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "small/train_val.prototxt: is a net, not a solver" in done.stderr
    assert "'tinynet train small/solver.prototxt' trains it" in done.stderr


def test_a_solver_of_another_name_is_found_for_a_net(folder: Path) -> None:
    (folder / "solver.prototxt").rename(folder / "quick_solver.prototxt")
    (folder / "other_solver.prototxt").write_text('net: "elsewhere.prototxt"')
    done = run("train", folder / "train_val.prototxt")
    assert "; 'tinynet train small/quick_solver.prototxt' trains it" in done.stderr
    assert "other_solver" not in done.stderr


def test_a_net_without_a_solver_is_refused_with_what_is_needed(folder: Path) -> None:
    (folder / "solver.prototxt").unlink()
    done = run("train", folder / "train_val.prototxt")
    assert "name the solver.prototxt whose 'net' it is" in done.stderr


def test_the_net_of_a_run_is_not_taken_for_the_run(folder: Path) -> None:
    (folder / "run.json").write_text("{}")
    done = run("train", folder / "train_val.prototxt")
    assert "is a net, not a solver" in done.stderr


def test_a_folder_with_a_solver_is_trained_by_it(folder: Path) -> None:
    done = run("train", folder)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "data/train_lmdb: no such database" in done.stderr  # it got as far as the data


def test_a_folder_without_solver_and_net_is_wrong_use(folder: Path) -> None:
    Path("empty").mkdir()
    done = run("train", "empty")
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "empty: holds neither a run (run.json) nor a solver.prototxt" in done.stderr
