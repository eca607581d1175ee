"""The upgrade tools do with old files what Caffe's own did, and say the same."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli import imageset_cases, upgrade_cases
from tests.cli.command import run
from tests.cli.upgrade_cases import CASES, GOLDEN, IN, OUT

STORED: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text())
_UNKNOWN = re.compile(r"E Unknown parameter \w+ for layer type (\w+)")


def told(said: list[str]) -> list[str]:
    """Messages without warnings, which differ between the programs, and conditions of a CHECK.

    Of a layer's unknown parameters Caffe names one, and ours all: the layer's type is kept.
    """
    lines = [_UNKNOWN.sub(r"unknown of \1", line) for line in said if line[:2] in ("I ", "E ")]
    return sorted(set(lines) - {_IN_SHORT})


_IN_SHORT = (
    "E Warning: had one or more problems upgrading V0NetParameter to NetParameter (see above); "
    "continuing anyway."
)


def ours(case: upgrade_cases.Case, folder: Path) -> dict[str, Any]:
    def run_tool(name: str) -> tuple[int, str]:
        done = run("caffe", name, IN, OUT)
        return done.status, done.stderr

    return upgrade_cases.outcome(run_tool, case, folder)


@pytest.mark.parametrize("name", CASES)
def test_an_old_file_is_upgraded_as_by_caffes_tool(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    caffes, found = STORED[name], ours(CASES[name], tmp_path)
    assert found["written"] == caffes["written"]
    aborted = caffes["status"] in (-signal.SIGABRT, 128 + signal.SIGABRT)
    assert found["status"] == (1 if aborted else caffes["status"])
    expected = told(caffes["said"])
    if aborted:  # and says why in a line of its own
        assert set(expected) <= set(told(found["said"])) and len(found["said"]) > len(expected)
    else:
        assert told(found["said"]) == expected


def test_there_is_a_stored_answer_for_every_file_and_of_every_kind() -> None:
    assert set(STORED) == set(CASES)
    assert {stored["status"] for stored in STORED.values()} == {0, 1, -signal.SIGABRT}


@pytest.mark.skipif(
    not all(imageset_cases.tool(case.tool) for case in CASES.values())
    or not os.environ.get(imageset_cases.TOOLS_VARIABLE),
    reason="TINYNET_CAFFE_TOOLS names no folder of Caffe's own tools",
)
def test_the_stored_answers_equal_those_of_caffes_tools() -> None:
    from tests.cli.golden.make_upgrades_golden import answers

    assert answers() == STORED
