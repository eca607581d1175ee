"""JSON files sealed with their own SHA-256, so that a flipped bit is never taken for content.

A person can read them, and change them only on purpose: the key ``sha256`` holds the hash of
everything else (the keys sorted, no blanks).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tinynet import whole_file
from tinynet.errors import TinynetError

SEAL = "sha256"


def hash_of(content: dict[str, Any]) -> str:
    """SHA-256 of a JSON object without its seal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``, sealed; whole or not at all.  Raises OSError."""
    sealed = {**content, SEAL: hash_of(content)}
    whole_file.write_text(path, json.dumps(sealed, indent=1) + "\n")


def read(path: Path, largest: int) -> dict[str, Any]:
    """The content, without the seal, of a file of at most ``largest`` bytes.

    Raises TinynetError where the file is longer, no JSON object, or not what was sealed; OSError
    where it cannot be opened.
    """
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise TinynetError(f"{path}: is longer than {largest:,} bytes")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TinynetError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise TinynetError(f"{path}: is not a JSON object")
    seal = content.pop(SEAL, None)
    try:
        whole = seal == hash_of(content)
    except RecursionError:
        whole = False
    if not whole:
        raise TinynetError(f"{path}: is not what was written (its SHA-256 differs)")
    return content
