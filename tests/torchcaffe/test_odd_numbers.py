"""No number in a layer's parameters causes an internal error of torch or Python."""

from __future__ import annotations

from tests.children import python
from tests.torchcaffe import odd_numbers


def test_zero_negative_and_huge_numbers_work_or_are_refused_in_one_line() -> None:
    done = python("-m", "tests.torchcaffe.odd_numbers")
    assert done.stdout == ""
    wanted = len(list(odd_numbers.cases()))
    assert done.returncode == 0 and done.stderr.endswith(f"{wanted} nets\n") and wanted > 200
