"""Loads what other installed packages add to this one by their entry points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinynet.errors import TinynetError


def load(group: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and object of every entry point of a group.

    Raises TinynetError, naming the entry point, if one cannot be imported.
    """
    import importlib.metadata  # here, since it is slow and few processes need it

    points: Any = importlib.metadata.entry_points()
    # a mapping before Python 3.10
    of_group = points.select(group=group) if hasattr(points, "select") else points.get(group, ())
    for point in sorted(set(of_group)):
        try:
            yield point.name, point.load()
        except Exception as error:
            raise TinynetError(
                f"the entry point '{point.name} = {point.value}' of the group {group} cannot be "
                f"loaded: {type(error).__name__}: {error}"
            ) from error
