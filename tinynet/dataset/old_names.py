"""Translates names in JSON files of earlier releases to the current ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.errors import TinynetError

_KEYS = {
    "by_picture": "by_image",
    "full_by_picture": "full_by_image",
    "chosen_on": "selection_set",
}
_TEXTS = ("role", "roles")  # keys whose texts say what images are for


def read_json(path: Path) -> Any:
    """``files.read_json`` with current names.  Raises as it does."""
    content = files.read_json(path)
    try:
        return renamed(content)
    except RecursionError:
        raise TinynetError(f"{path}: is nested too deep") from None


def renamed(content: Any) -> Any:
    """Parsed JSON with current keys, and with "image" for "picture" in its texts of roles."""
    if isinstance(content, list):
        return [renamed(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        _KEYS.get(key, key): _images(value) if key in _TEXTS else renamed(value)
        for key, value in content.items()
    }


def _images(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _images(text) for key, text in value.items()}
    return value.replace("picture", "image") if isinstance(value, str) else value
