"""A drawn data set of three classes, converted: small enough for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run
from tests.study import small_dissection
from tinynet.study.trainings import DissectionRequest


@pytest.fixture(scope="session")
def lmdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    sizes = ("--classes", 3, "--train-per-class", 10, "--val-per-class", 4, "--test-per-class", 1)
    assert run("data", "synthesize", "--out", folder / "shapes", *sizes).status == 0
    converted = run("data", "convert", folder / "shapes", "--out", folder / "lmdb", "--jobs", 1)
    assert converted.status == 0
    return folder / "lmdb"


@pytest.fixture
def asked(lmdb: Path, tmp_path: Path) -> DissectionRequest:
    """A dissection of the drawn data, in a folder of its own."""
    return small_dissection.request(lmdb, tmp_path)
