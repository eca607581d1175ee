"""Control groups: what a container, a batch system or a login session lets this process use.

Reads both versions: version 2 has one tree of groups, version 1 has one for each controller.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes a larger number to say that there is no limit


def folders(controller: str, root: Path = ROOT) -> list[Path]:
    """Folders of the groups that this process is in, each followed by the groups around it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        inside = (root / controllers if controllers else root) / path.lstrip("/")
        found += [folder for folder in (inside, *inside.parents) if folder.is_relative_to(root)]
    return list(dict.fromkeys([*found, root / controller, root]))


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes of memory that may be used, the smallest of all limits; None if there is none."""
    limits = []
    for folder in folders("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                limits.append(int((folder / name).read_text()))
            except (OSError, ValueError):  # "max": no limit
                continue
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def killed_for_memory(root: Path = ROOT) -> int | None:
    """How many processes of our group the kernel has killed for lack of memory; None if unknown."""
    for folder in folders("memory", root):
        for name in ("memory.events", "memory.oom_control"):
            try:
                lines = (folder / name).read_text().splitlines()
            except OSError:
                continue
            counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
            if counts and counts[0].isdigit():
                return int(counts[0])
    return None
