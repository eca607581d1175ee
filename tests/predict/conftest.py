from __future__ import annotations

from pathlib import Path

import pytest

from tests.predict import small_run
from tinynet.run.paths import RunPaths


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted data set of small images."""
    return small_run.write_data(tmp_path_factory.mktemp("data") / "lmdb")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> RunPaths:
    """A run with snapshots at 20 and 40; tests that change it must copy it."""
    return small_run.train(tmp_path_factory.mktemp("trained"), data)


@pytest.fixture
def run(trained: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy of the trained run that the test may change."""
    return small_run.copy(trained, tmp_path / "run")
