"""``tinynet train --precision`` is recorded, passed to the worker, and kept on resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.small_runs import record, train


def test_a_run_keeps_its_initial_precision(folder: Path) -> None:
    pytest.importorskip("torch")
    child = train(folder, "--engine", "torch", "--cpu", "--precision", "bf16", "--max-iter", "8")
    assert child.returncode == 0, child.stderr
    assert "in bf16" in child.stderr
    assert record(folder)["precision"] == "bf16"
    longer = ("--engine", "torch", "--cpu", "--resume", "--max-iter", "16")
    refused = train(folder, *longer, "--precision", "float32")
    assert refused.returncode == 1
    assert "precision bf16 -> float32" in refused.stderr
    child = train(folder, *longer)
    assert child.returncode == 0, child.stderr
    assert record(folder)["precision"] == "bf16"
    assert [session["precision"] for session in record(folder)["sessions"]] == ["bf16", "bf16"]


def test_tf32_on_a_cpu_is_wrong_use(folder: Path) -> None:
    pytest.importorskip("torch")
    child = train(folder, "--engine", "torch", "--cpu", "--precision", "tf32")
    assert child.returncode == 2
    assert "does nothing on the CPU" in child.stderr
    assert not (folder / "runs").exists()


def test_real_caffe_offers_only_float32(folder: Path, caffe_python: str) -> None:
    child = train(folder, "--engine", "caffe", "--cpu", "--precision", "bf16")
    assert child.returncode == 2
    assert "--engine torch" in child.stderr
