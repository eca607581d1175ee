"""Solver values in a file: what a search found, for the generator to take."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError, UsageError
from tinynet.prototxt import schema


def read_overrides(path: Path) -> dict[str, Any]:
    """The solver fields that ``path`` sets, under its key "solver", with their values.

    Raises UsageError where there is no such file, TinynetError that names what in it is wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = content["solver"]
        items = list(values.items())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; 'tinynet search' writes one") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TinynetError(
            f'{path}: is no file of overrides; it holds {{"solver": {{"base_lr": 0.01}}}}'
        ) from None
    known = schema.FIELDS["SolverParameter"]
    for name, value in items:
        if name not in known:
            raise TinynetError(f"{path}: '{name}' is no field of the solver")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if known[name].kind != "float" or known[name].repeated:
            raise TinynetError(f"{path}: {name} is no single number that a search may set")
        if not is_number or not math.isfinite(value):
            raise TinynetError(f"{path}: {name} is {value!r}, no finite number")
    return {name: float(value) for name, value in items}
