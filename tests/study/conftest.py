"""A drawn data set of three classes, converted: small enough for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run


@pytest.fixture(scope="session")
def lmdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    sizes = ("--classes", 3, "--train-per-class", 10, "--val-per-class", 4, "--test-per-class", 1)
    assert run("data", "synthesize", "--out", folder / "shapes", *sizes).status == 0
    converted = run("data", "convert", folder / "shapes", "--out", folder / "lmdb", "--jobs", 1)
    assert converted.status == 0
    return folder / "lmdb"
