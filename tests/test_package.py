"""An installation has every file of the package; doctor checks what setup requires."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tinynet.engine import doctor

ROOT = Path(__file__).parents[1]


def setup_argument(name: str) -> Any:
    """The value that setup.py gives an argument of ``setup()``, written there as a literal."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py gives no {name}")


def test_every_file_beside_the_modules_is_in_the_wheel() -> None:
    packaged = {
        path
        for package, patterns in setup_argument("package_data").items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    found = {
        path
        for path in (ROOT / "tinynet").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert found and found <= packaged


def test_doctor_checks_every_requirement_of_setup() -> None:
    stated = setup_argument("install_requires")
    # a requirement of some platforms may be missing on others
    for requirement in map(Requirement, stated):
        if requirement.marker is None:
            assert requirement.name in doctor.REQUIRED
        elif requirement.marker.evaluate():  # what another Python or platform needs goes unnamed
            assert requirement.name in doctor.OPTIONAL
    assert len(doctor.REQUIRED) == sum(";" not in requirement for requirement in stated)


def test_every_file_of_the_unit_run_exists() -> None:
    listed = (ROOT / "tests/unit.txt").read_text().split()
    assert len(listed) > 50 and all((ROOT / name).exists() for name in listed)
