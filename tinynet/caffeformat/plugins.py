"""What other installed packages add to this one, by the entry points that they declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinynet.errors import TinynetError


def load(group: str) -> Iterator[tuple[str, Any]]:
    """Name and object of every entry point of a group.

    Raises TinynetError, which names the entry point, where one cannot be imported.
    """
    import importlib.metadata  # which takes longer than all of this module's users

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
