"""One word for each thing, suggestions for misspelt words, and former spellings still work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
    ("parity", "--display", "--every"),
    ("bench", "--dataset", "--data"),
    ("jobs local", "--gpu-memory", "--memory"),
    ("jobs slurm", "--on-gpu", "--gpu"),
    ("jobs sge", "--on-gpu", "--gpu"),
]
TAKES_A_WORD = ("parity", "data convert", "jobs local", "jobs slurm", "jobs sge")


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
def test_a_misspelt_word_is_wrong_use_with_a_suggestion(words: list[str], meant: str) -> None:
    done = run(*words)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert f"did you mean {meant}" in done.stderr


def test_an_unknown_word_is_refused_with_the_list_of_valid_ones() -> None:
    assert "the commands are doctor, stages" in run("xyzzy").stderr
    assert "the commands are create, local" in run("jobs", "xyzzy").stderr
    done = run("train", "--xyzzy")
    assert "no option '--xyzzy'" in done.stderr and "mean" not in done.stderr


@pytest.mark.parametrize(("command", "now", "former"), RENAMED)
def test_a_former_spelling_still_works_and_is_not_shown(
    command: str, now: str, former: str
) -> None:
    found: click.Command = cli
    for word in command.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None
        found = below
    is_flag = now in ("--write-jobs", "--on-gpu")
    spelt = []
    for option in (now, former):
        words = [option] + ([] if is_flag else ["3"]) + (["x"] if command in TAKES_A_WORD else [])
        words += ["--out", "y"] if command == "data convert" else []
        spelt.append(found.make_context(command, words).params)
    assert spelt[0] == spelt[1]
    assert now in PAGES[f"tinynet {command}"]
    assert f"{former} " not in PAGES[f"tinynet {command}"]
    wrong = run(*command.split(), former + "x")
    assert f"'{former}'" not in wrong.stderr  # nor suggested


def test_slurm_is_listed_before_what_refers_to_it() -> None:
    page = PAGES["tinynet jobs"].partition("Commands:")[2]
    assert page.index("slurm") < page.index("sge")


def test_generate_accepts_the_seed_by_both_names(tmp_path: Path) -> None:
    for option in ("--seed", "--random-seed"):
        out = tmp_path / option
        assert run("generate", "--stage", 1, option, 42, "--out", out).status == 0
        assert "random_seed: 42\n" in (out / "stage1_simple/solver.prototxt").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_option_values_have_consistent_names(page: str) -> None:
    for word in ("INTEGER", "FLOAT", "DIRECTORY", "NUMBER"):
        assert f" {word} " not in PAGES[page] and f" {word}\n" not in PAGES[page]


def parameters(*words: str) -> dict[str, Any]:
    """Return the parameters with which a command line calls its command."""
    found = cli.get_command(click.Context(cli), words[0])
    assert found is not None
    rest = list(words[1:])
    while isinstance(found, click.Group):
        below = found.get_command(click.Context(found), rest.pop(0))
        assert below is not None
        found = below
    return dict(found.make_context(words[0], rest).params)


LISTS = [
    ("dissect", "--seeds", "seeds"),
    ("jobs create list", "--seeds", "seeds"),
    ("jobs create list", "--stage", "stages"),
    ("jobs create list", "--member", "members"),
    ("dissect", "--stage", "stages"),
    ("generate", "--stage", "numbers"),
]


@pytest.mark.parametrize(("command", "option", "name"), LISTS)
def test_a_number_in_a_list_is_that_number_and_not_a_count(
    command: str, option: str, name: str
) -> None:
    def meant(*values: str) -> object:
        words = [word for value in values for word in (option, value)]
        return parameters(*command.split(), *words)[name]

    assert meant("3") == [3]
    assert meant("1-3") == meant("1,2,3") == meant("1", "2-3", "3") == [1, 2, 3]
    assert meant("7,1") == [7, 1]
    assert meant() == []
    for wrong in ("3-1", "1-", "many", "", "-1", "1;2"):
        done = run(*command.split(), f"{option}={wrong}")
        assert (done.status, done.stderr.count("\n")) == (2, 1), done.stderr


@pytest.mark.parametrize("command", ["train", "jobs local list"])
def test_a_single_number_of_gpus_is_a_count_and_a_list_names_gpus(command: str) -> None:
    for value in ("4", "0,2", "all"):
        assert parameters(*command.split(), "--gpus", value)["gpus"] == value
    assert parameters(*command.split(), "--gpus", "0, 2")["gpus"] == "0,2"
    wrongs = {
        "0": "GPU 0 alone is --gpu 0",
        "00": "how many",
        "1,1": "twice",
        "two": "not a number of GPUs",
    }
    for wrong, says in wrongs.items():
        done = run(*command.split(), "--gpus", wrong)
        assert done.status == 2 and says in done.stderr


def test_an_option_of_several_commands_has_one_name_for_its_value() -> None:
    called: dict[str, set[str]] = {}
    for page in PAGES.values():
        options = page.partition("\nOptions:")[2].partition("\n\n")[0]
        for option, value in re.findall(r"(?m)^  (--[a-z-]+) (\S+)", options):
            called.setdefault(option, set()).add(value)
    several = {option: values for option, values in called.items() if len(values) > 1}
    # one stage or several; a page or a folder; one split or several
    assert set(several) <= {"--stage", "--member", "--out"}, several


def test_every_command_ends_with_examples() -> None:
    for command, page in PAGES.items():
        last = page.rstrip().splitlines()[-1].strip()
        assert last.startswith("tinynet "), command
