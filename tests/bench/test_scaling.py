"""Solvers that train together, measured as one contestant."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.run import small_runs
from tinynet.bench.scaling import Together
from tinynet.engine import discovery


def test_a_round_of_two_solvers_has_the_images_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    work = ["bench", "train", "--solver=small/solver.prototxt"]
    both = Together(discovery.find_torch(), work, 2)
    try:
        assert both.wait_for("ready") is not None, both.fault()
        assert both.send(b"3\n")
        found = both.wait_for("round")
        assert found is not None and found["items"] == 3 * 2 * 10
        assert found["seconds"] > 0
    finally:
        both.close()
    missing = Together(discovery.find_torch(), ["bench", "train", "--solver=none.prototxt"], 2)
    assert missing.wait_for("ready") is None
    assert "none.prototxt" in missing.fault()
