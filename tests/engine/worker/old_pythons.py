"""The interpreters from 3.6 to 3.9 on PATH and under ~/.pyenv/versions, the oldest first."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def old_pythons() -> list[str]:
    found = []
    for minor in range(6, 10):
        candidates = [shutil.which(f"python3.{minor}")]
        versions = Path(os.path.expanduser("~/.pyenv/versions"))
        candidates += map(str, sorted(versions.glob(f"3.{minor}.*/bin/python")))
        for candidate in candidates:
            if candidate and _runs(candidate):
                found.append(candidate)
                break
    return found


def _runs(python: str) -> bool:
    # a shim on PATH may have no interpreter behind it
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
