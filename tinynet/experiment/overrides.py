"""Reads solver values from a file, such as those that a search found, for the generator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynet.caffeformat import schema
from tinynet.dataset import old_names
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.solver_values import fault

if TYPE_CHECKING:
    from tinynet.dataset.selection_set import SelectionSet


@dataclass(frozen=True)
class SearchedValues:
    """What a file of overrides holds.

    ``solver``: values of solver fields; ``stage``: the folder name of the stage that they are for,
    "" if the file names none; ``selection_set``: the images on which they were chosen, if stated.
    """

    solver: dict[str, float]
    stage: str
    selection_set: SelectionSet | None


def read_overrides(path: Path) -> SearchedValues:
    """Read a file of overrides, as 'tinynet search' writes it.

    Raises UsageError if there is no such file, TinynetError that names what in it is wrong.
    """
    try:
        content = old_names.read_json(path)
        items = list(content["solver"].items())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; 'tinynet search' writes one") from None
    except (TinynetError, KeyError, TypeError, AttributeError):
        raise TinynetError(
            f'{path}: is not a file of overrides, such as {{"solver": {{"base_lr": 0.01}}}}'
        ) from None
    stage = content.get("stage")
    return SearchedValues(
        _checked(path, items),
        stage if isinstance(stage, str) else "",
        _selection_set(path, content.get("selection_set")),
    )


def read_overrides_by_stage(paths: Iterable[Path]) -> dict[str, SearchedValues]:
    """Read several files of overrides, by the folder name of the stage that each names.

    Raises UsageError if a file names no stage, or if two name the same; else as ``read_overrides``.
    """
    found: dict[str, SearchedValues] = {}
    for path in paths:
        values = read_overrides(path)
        if not values.stage:
            raise UsageError(
                f"{path}: names no stage; 'tinynet search' writes "
                '{"stage": "stage7_dropout2", "solver": …}'
            )
        if values.stage in found:
            raise UsageError(f"{path}: is a second file for {values.stage}; give one a stage")
        found[values.stage] = values
    return found


def _selection_set(path: Path, content: Any) -> SelectionSet | None:
    if content is None:
        return None
    from tinynet.dataset import selection_set  # here, since it needs much that --help does not

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
