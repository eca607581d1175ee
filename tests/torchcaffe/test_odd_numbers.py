"""No number in a layer's parameters ends in an error of torch's or of Python's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.torchcaffe import odd_numbers

ROOT = Path(__file__).parents[2]


def test_zero_negative_and_huge_numbers_work_or_are_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.torchcaffe.odd_numbers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    wanted = len(list(odd_numbers.cases()))
    assert done.returncode == 0 and done.stderr.endswith(f"{wanted} nets\n") and wanted > 200
