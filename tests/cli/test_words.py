"""One word for one thing, a near miss is asked about, and what was once typed still works."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.cli.command import run
from tests.cli.test_help import PAGES
from tinynet.cli.main import cli

RENAMED = [
    ("parity", "--max-iter", "--iterations"),
    ("demo", "--max-iter", "--iterations"),
    ("generate", "--seed", "--random-seed"),
    ("train", "--seed", "--random-seed"),
    ("data convert", "--threads", "--jobs"),
    ("dissect", "--write-jobs", "--jobs"),
]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "'train'"),
        (["data", "covert", "x"], "'convert'"),
        (["jobs", "slrum"], "'slurm'"),
        (["train", "--max-itr", "6"], "'--max-iter'"),
        (["generate", "--lr-polcy", "step"], "'--lr-policy'"),
    ],
)
def test_a_near_miss_names_what_may_be_meant_and_is_wrong_use(words: list[str], meant: str) -> None:
    done = run(*words)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert f"did you mean {meant}" in done.stderr


def test_a_word_that_is_near_to_none_gets_the_list() -> None:
    assert "the commands are doctor, stages" in run("xyzzy").stderr
    assert "the commands are create, local" in run("jobs", "xyzzy").stderr
    done = run("train", "--xyzzy")
    assert "no option '--xyzzy'" in done.stderr and "mean" not in done.stderr


@pytest.mark.parametrize(("command", "now", "former"), RENAMED)
def test_a_former_spelling_works_and_is_not_shown(command: str, now: str, former: str) -> None:
    found: click.Command = cli
    for word in command.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None
        found = below
    value = [] if former == "--jobs" and command == "dissect" else ["3"]
    spelt = []
    for option in (now, former):
        words = [option, *value] + (["x"] if command in ("parity", "data convert") else [])
        words += ["--out", "y"] if command == "data convert" else []
        spelt.append(found.make_context(command, words).params)
    assert spelt[0] == spelt[1]
    assert now in PAGES[f"tinynet {command}"]
    assert f"{former} " not in PAGES[f"tinynet {command}"]
    wrong = run(*command.split(), former + "x")
    assert f"'{former}'" not in wrong.stderr  # nor suggested


def test_slurm_stands_before_what_is_described_by_it() -> None:
    page = PAGES["tinynet jobs"].partition("Commands:")[2]
    assert page.index("slurm") < page.index("sge")


def test_generate_takes_the_seed_by_both_names(tmp_path: Path) -> None:
    for option in ("--seed", "--random-seed"):
        out = tmp_path / option
        assert run("generate", "--stage", 1, option, 42, "--out", out).status == 0
        assert "random_seed: 42\n" in (out / "stage1_simple/solver.prototxt").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_values_are_called_alike(page: str) -> None:
    for word in ("INTEGER", "FLOAT", "DIRECTORY", "NUMBER"):
        assert f" {word} " not in PAGES[page] and f" {word}\n" not in PAGES[page]


def test_seeds_are_a_range_from_1_wherever_there_are_several() -> None:
    found = cli.get_command(click.Context(cli), "dissect")
    assert found is not None
    for value in ("1-3", "3"):
        assert found.make_context("dissect", ["x", "--seeds", value]).params["seeds"] == 3
    for value in ("2-3", "0", "1-12", "many"):
        done = run("dissect", "x", "--seeds", value)
        assert done.status == 2 and "is not 1-N, with N from 1 to 11" in done.stderr
