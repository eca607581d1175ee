"""Makes upgrades.json with Caffe's own tools: python -m tests.cli.golden.make_upgrades_golden.

The tools are on PATH or in the folder that TINYNET_CAFFE_TOOLS names.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.cli import imageset_cases, upgrade_cases
from tests.cli.upgrade_cases import IN, OUT


def answers() -> dict[str, Any]:
    """What Caffe's tools do with each case."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:

        def run(name: str) -> tuple[int, str]:
            program = imageset_cases.tool(name)
            assert program is not None
            done = subprocess.run(
                [program, IN, OUT],
                cwd=folder,
                env={**os.environ, "GLOG_logtostderr": "1"},
                capture_output=True,
                text=True,
            )
            return done.returncode, done.stderr

        for name, case in upgrade_cases.CASES.items():
            found[name] = upgrade_cases.outcome(run, case, Path(folder))
    return found


if __name__ == "__main__":
    upgrade_cases.GOLDEN.write_text(json.dumps(answers(), indent=0) + "\n")
