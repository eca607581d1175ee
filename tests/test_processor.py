"""The number of usable cores is the least of all limits, whoever set them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinynet import processor


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores without hardware threads, no quota, and no setting of the user's."""
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(processor, "_siblings", str)
    monkeypatch.setattr(processor, "_quota", lambda: float("inf"))


def test_without_a_limit_the_number_is_that_of_the_whole_cores_in_the_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert processor.usable_threads() == 8
    monkeypatch.setattr(processor, "_siblings", lambda core: f"{core % 4},{core % 4 + 4}")
    assert processor.usable_threads() == 4, "two hardware threads of a core share its arithmetic"
    assert processor.whole_cores() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("variables", "quota", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, 8.0, 3),
        ({"OMP_NUM_THREADS": "64"}, 8.0, 8),  # never more than there are
        ({"OMP_NUM_THREADS": "5,2"}, 8.0, 5),  # of the outer level
        ({"OMP_NUM_THREADS": "0"}, 8.0, 8),
        ({"OMP_NUM_THREADS": "many"}, 8.0, 8),
        ({"SLURM_CPUS_PER_TASK": "6"}, 8.0, 6),
        ({"SLURM_CPUS_PER_TASK": "6", "OMP_NUM_THREADS": "7"}, 2.5, 2),
        ({}, 0.5, 1),  # one thread at least
    ],
)
def test_the_least_of_all_limits_counts(
    variables: dict[str, str], quota: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processor, "_quota", lambda: quota)
    assert processor.usable_threads() == threads


def test_the_cores_of_several_processes_are_not_limited_by_the_threads_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert processor.usable_cores() == 8 and processor.usable_threads() == 2
    monkeypatch.setattr(processor, "_quota", lambda: 6.0)
    assert processor.usable_cores() == 6


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, float("inf")),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
        ({"cpu.max": "nonsense"}, float("inf")),
    ],
)
def test_a_containers_quota_is_read_from_both_versions_of_control_groups(
    files: dict[str, str], cores: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processor._quota(tmp_path) == cores
