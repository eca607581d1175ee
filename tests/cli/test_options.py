"""Values unfit for a folder name or for one of Caffe's numbers are refused when parsed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.command import run
from tinynet.experiment.solver_values import WORDS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../evil", "/evil", "a/b", "-x", ".hidden", "a\nb", "a\x1b[31m", "n" * 300],
)
def test_a_run_name_is_one_folder_below_runs(here: Path, name: str) -> None:
    done = run("train", "--stage", 1, f"--name={name}")
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "'--name'" in done.stderr and "it is to name a folder" in done.stderr
    assert list(here.parent.rglob("*")) == [here]


SEEDS = [
    ("train", "--stage", "1", "--seed"),
    ("parity", "solver.prototxt", "--seed"),
    ("search", "--stage", "1", "--seed"),
    ("search", "--stage", "1", "--split-seed"),
    ("dissect", "--split-seed"),
    ("data", "convert", "images", "--seed"),
    ("data", "split", "lmdb", "--out", "out", "--hold-out", "0.1", "--split-seed"),
    ("data", "synthesize", "--out", "out", "--seed"),
    ("generate", "--seed"),
]


@pytest.mark.parametrize("command", SEEDS, ids=lambda command: " ".join(command[:2]))
@pytest.mark.parametrize("seed", ["4294967296", "-2", "1e9", "99999999999999999999999"])
def test_a_seed_beyond_caffes_generator_is_refused(
    here: Path, command: tuple[str, ...], seed: str
) -> None:
    done = run(*command, seed)
    assert (done.status, done.stderr.count("\n")) == (2, 1), done.stderr
    assert command[-1] in done.stderr
    assert list(here.iterdir()) == []


def test_seeds_of_a_job_list_have_the_same_limits(here: Path) -> None:
    done = run("jobs", "create", "list", "--stage", 1, "--seeds", "4294967295-4294967296")
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "goes beyond 4294967295" in done.stderr and list(here.iterdir()) == []


COUNTS = [
    ("train", "--stage", "1", "--max-iter"),
    ("train", "--stage", "1", "--snapshot"),
    ("parity", "solver.prototxt", "--max-iter"),
    ("demo", "--max-iter"),
    ("search", "--stage", "1", "--epochs"),
    ("dissect", "--batch-size"),
    ("generate", "--max-iter"),
    ("generate", "--batch-size"),
    ("generate", "--epochs"),
]


@pytest.mark.parametrize("command", COUNTS, ids=lambda command: " ".join(command))
def test_iterations_or_images_beyond_caffes_counters_are_refused(
    here: Path, command: tuple[str, ...]
) -> None:
    for count in ("2147483648", "-1"):
        done = run(*command, count)
        assert (done.status, done.stderr.count("\n")) == (2, 1), done.stderr
        assert command[-1] in done.stderr and list(here.iterdir()) == []


def test_epochs_of_more_iterations_than_caffe_counts_are_wrong_use(here: Path) -> None:
    done = run("generate", "--stage", 1, "--epochs", 2**31 - 1)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "781 iterations: Caffe counts to 2,147,483,647" in done.stderr
    assert list(here.iterdir()) == []


def test_a_value_that_rounds_to_0_in_float32_and_a_zero_std_are_wrong_use(here: Path) -> None:
    for option in (["--base-lr", "1e-300"], ["--std", "0"], ["--std", "-1"]):
        done = run("generate", "--stage", 1, *option)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert list(here.iterdir()) == []


def test_a_second_range_for_a_searched_field_is_refused(here: Path) -> None:
    ranges = ("--range", "base_lr=0.1:0.2", "--range", "base_lr=0.2:0.3")
    done = run("search", "lmdb", "--stage", 1, *ranges)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "base_lr has two ranges; give one" in done.stderr and list(here.iterdir()) == []


@pytest.mark.parametrize("option", ["--name x", "--runs=elsewhere", "--seed 3", "--stage 2"])
def test_options_that_name_one_run_are_refused_for_a_whole_list(here: Path, option: str) -> None:
    done = run("jobs", "create", "list", "--stage", 1, "--train", option)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "is set by the list" in done.stderr and list(here.iterdir()) == []


def test_a_field_that_is_given_two_values_is_wrong_use() -> None:
    for options in (["--max-iter", "5", "--set", "max_iter=6"], ["--set", "a=1", "--set", "a=2"]):
        done = run("train", "--stage", 1, *options)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert "already; choose one" in done.stderr


def test_the_solver_types_are_those_that_real_caffe_has(caffe_python: str, here: Path) -> None:
    Path("solver.prototxt").write_text('net_param {} type: "none" solver_mode: CPU')
    code = "import caffe; caffe.get_solver('solver.prototxt')"
    child = subprocess.run([caffe_python, "-c", code], capture_output=True, text=True)
    known = child.stderr.partition("known types: ")[2].partition(")")[0]
    assert sorted(WORDS["type"]) == sorted(known.split(", "))
