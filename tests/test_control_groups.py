"""Limits from control groups of both versions, and kills for lack of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinynet import control_groups
from tinynet.engine.failures import who_killed

NONE = "9223372036854771712"  # what version 1 has for no limit


@pytest.mark.parametrize(
    ("lines", "inside", "above"),
    [
        ("0::/slurm/job_7\n", "slurm/job_7", "slurm"),
        ("3:cpu,cpuacct:/other\n4:memory:/slurm/job_7\n", "memory/slurm/job_7", "memory/slurm"),
    ],
)
def test_limits_of_a_processs_groups_and_their_parents_count(
    lines: str, inside: str, above: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *how: lines if str(path) == "/proc/self/cgroup" else read(path, *how),
    )
    version_2 = lines.startswith("0::")
    limit, events = (
        ("memory.max", "memory.events") if version_2 else
        ("memory.limit_in_bytes", "memory.oom_control")
    )  # fmt: skip
    assert control_groups.memory_limit(tmp_path) is None
    assert control_groups.killed_for_memory(tmp_path) is None
    for folder, bytes_of, kills in (
        (above, "2000000000", 5), (inside, "max" if version_2 else NONE, 2)
    ):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / limit).write_text(f"{bytes_of}\n")
        (tmp_path / folder / events).write_text(f"low 0\noom 9\noom_kill {kills}\n")
    assert control_groups.memory_limit(tmp_path) == 2 * 10**9, "a group above holds it too"
    assert control_groups.killed_for_memory(tmp_path) == 2
    assert tmp_path / "memory/other" not in control_groups.folders("memory", tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "limit", "reason"),
    [
        (None, 3, None, ": by someone, or because the system was out of memory"),
        (3, None, None, ": by someone, or because the system was out of memory"),
        (3, 3, 10**9, ", which someone sent: the kernel had memory left"),
        (3, 4, None, ", since the system was out of memory"),
        (3, 4, 4 * 10**9, ", since the system was out of memory (4 GB may be used here)"),
    ],
)
def test_a_kill_is_blamed_on_memory_only_if_the_kernel_counted_it(
    before: int | None, after: int | None, limit: int | None, reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(control_groups, "killed_for_memory", lambda: after)
    monkeypatch.setattr(control_groups, "memory_limit", lambda: limit)
    assert who_killed(before) == reason
