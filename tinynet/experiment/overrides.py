"""Reads solver values from a file, such as those that a search found, for the generator."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynet import files
from tinynet.caffeformat import schema
from tinynet.dataset import old_names
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.solver_values import fault

if TYPE_CHECKING:
    from tinynet.dataset.selection_set import SelectionSet


def read_overrides(path: Path) -> dict[str, float]:
    """Read the solver fields that ``path`` sets under its key "solver".

    Raises UsageError if there is no such file, TinynetError that names what in it is wrong.
    """
    try:
        content = files.read_json(path)
        items = list(content["solver"].items())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; 'tinynet search' writes one") from None
    except (TinynetError, KeyError, TypeError, AttributeError):
        raise TinynetError(
            f'{path}: is not a file of overrides, such as {{"solver": {{"base_lr": 0.01}}}}'
        ) from None
    return _checked(path, items)


def read_overrides_by_stage(paths: Iterable[Path]) -> dict[str, dict[str, float]]:
    """Read the solver fields of several files, by the folder name of the stage that each names.

    Raises UsageError if a file names no stage, or if two name the same; else as ``read_overrides``.
    """
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        values = read_overrides(path)
        name = read_stage(path)
        if not name:
            raise UsageError(
                f"{path}: names no stage; 'tinynet search' writes "
                '{"stage": "stage7_dropout2", "solver": …}'
            )
        if name in found:
            raise UsageError(f"{path}: is a second file for {name}; give one a stage")
        found[name] = values
    return found


def read_stage(path: Path) -> str:
    """The folder name of the stage that a file's values are for; "" if it names none.

    Raises as ``read_overrides`` does.
    """
    read_overrides(path)
    name = files.read_json(path).get("stage")
    return name if isinstance(name, str) else ""


def read_choices(paths: Iterable[Path]) -> dict[str, SelectionSet]:
    """The selection set of each file that states one, by stage."""
    found = {read_stage(path): read_selection_set(path) for path in paths}
    return {name: chosen for name, chosen in found.items() if chosen is not None}


def read_selection_set(path: Path) -> SelectionSet | None:
    """The images on which a file's values were chosen; None if it does not state them.

    Raises TinynetError if that part of the file is damaged, else as ``read_overrides`` does.
    """
    from tinynet.dataset import selection_set

    read_overrides(path)
    content = old_names.read_json(path).get("selection_set")
    if content is None:
        return None
    try:
        return selection_set.parse(content)
    except ValueError as error:
        raise TinynetError(
            f"{path}: what it says under selection_set is damaged ({error}); 'tinynet search' with "
            "its options writes the file again"
        ) from None


def _checked(path: Path, items: list[tuple[str, Any]]) -> dict[str, float]:
    known = schema.FIELDS["SolverParameter"]
    for name, value in items:
        if name not in known:
            raise TinynetError(f"{path}: '{name}' is not a solver field")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if known[name].kind != "float" or known[name].repeated:
            raise TinynetError(f"{path}: {name} is not a single number, so no search can set it")
        what = fault(name, value) if is_number else f"{name} is {value!r}, not a number"
        if what is not None:
            raise TinynetError(f"{path}: {what}")
    return {name: float(value) for name, value in items}
