"""README.md and the page of stages agree with the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import run
from tinynet.cli.main import COMMANDS
from tinynet.experiment.assumptions import ASSUMPTIONS
from tinynet.experiment.stages import STAGES
from tinynet.experiment.variants import PREFIX, VARIANTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STAGES_PAGE = (ROOT / "tinynet/manual/stages.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its header."""
    section = STAGES_PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_readmes_table_of_assumptions_equals_that_of_the_command() -> None:
    assert rows("What the paper leaves open") == [list(row) for row in ASSUMPTIONS]


def test_the_readmes_table_of_stages_has_every_stage_with_its_figures() -> None:
    table = rows("The stages")
    shown = run("stages").stdout
    assert [row[0].split("`")[1] for row in table] == [stage.name for stage in STAGES]
    for row, stage in zip(table, STAGES):
        # stage 1 is the architecture itself, which the table spells out
        assert stage.number == 1 or row[1].replace("×", "x") == stage.change
        parameters, multiply_adds = (cell.replace("×", "x") for cell in row[2:])
        assert parameters in shown and multiply_adds in shown


def test_the_table_of_variants_has_every_variant_with_its_stage_and_change() -> None:
    assert rows("Variants") == [
        [f"`{each.name.removeprefix(PREFIX)}`", str(each.number), each.change] for each in VARIANTS
    ]


@pytest.mark.parametrize("line", re.findall(r"(?m)^(?:> )?tinynet [a-z].*$", README))
def test_every_command_in_the_readme_exists_with_the_options_shown(line: str) -> None:
    words = line.partition("#")[0].split()[1:]
    assert words[0] in COMMANDS
    subcommand = words[:2] if words[0] in ("data", "jobs") else words[:1]
    shown = run(*subcommand, "--help")
    assert shown.status == 0, shown.stderr
    for word in words:
        if word.startswith("--"):
            assert word in shown.stdout, f"{' '.join(subcommand)} has no {word}"


def test_files_and_images_named_in_the_readme_exist() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)|`((?:scripts|data|tinynet)/[\w/.]+\.\w+)`", README):
        assert (ROOT / (path[0] or path[1])).exists(), path
