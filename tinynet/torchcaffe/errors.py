"""What the engine raises where real Caffe would abort the process on a failed CHECK."""

from __future__ import annotations

from tinynet.errors import TinynetError


class CaffeError(TinynetError):
    """A rule of Caffe's was broken; the message states the rule, then what was seen."""


def check(condition: bool, message: str) -> None:
    """Raise ``CaffeError(message)`` unless ``condition`` holds, as Caffe's CHECK aborts."""
    if not condition:
        raise CaffeError(message)
