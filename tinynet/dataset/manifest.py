"""The manifest of a converted data set: ``manifest.json`` beside its LMDBs.

It says what the LMDBs hold and where that came from.  It is written last, so that a folder without
one is an unfinished conversion.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.dataset.old_names import renamed
from tinynet.dataset.paths import SPLITS
from tinynet.errors import TinynetError

FILE_NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What a converted folder holds.

    ``counts``, ``names``, ``labelled`` and ``digests`` are by split (train, val, test).  Class
    index = position in ``wnids``.  ``names[split]`` is the image name of every record, in key
    order.  Records of a split that is not ``labelled`` carry label 0, which means nothing.
    ``digests[split]`` is the SHA-256 over every key and value in key order.
    """

    counts: dict[str, int]
    wnids: list[str]
    class_names: list[str]
    shape: tuple[int, int, int]  # channels, height, width of every image
    mean_values: tuple[float, float, float]  # B, G, R over the training images, 0..255
    seed: int
    source: str  # name of the folder or zip that was converted
    source_sha256: str  # over the names and bytes of every file read, whether in a folder or a zip
    names: dict[str, list[str]]
    labelled: dict[str, bool]
    digests: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)  # those of the conversion
    skipped: list[str] = field(default_factory=list)  # images left out by --skip-bad
    version: int = VERSION

    @property
    def classes(self) -> int:
        return len(self.wnids)


def read_manifest(folder: Path | str) -> Manifest:
    """Read the manifest of a converted folder.

    Raises TinynetError where the folder has none (an unfinished or no conversion), or where it
    cannot be read, is of another version, or contradicts itself.
    """
    path = Path(folder) / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TinynetError(
            f"{path}: no such file, so {folder} is no finished conversion; "
            "run 'tinynet data convert'"
        ) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON
        raise TinynetError(f"{path}: cannot be read as JSON: {error}; convert again") from None
    # manifests of earlier versions have no seal
    seal = content.pop(files.SEAL, None) if isinstance(content, dict) else None
    if seal is not None and seal != files.hash_of(content):
        raise TinynetError(
            f"{path}: is not what was written (its SHA-256 differs); convert the data set again"
        )
    try:
        return _checked(renamed(content))  # the seal is that of the old words
    except ValueError as error:
        raise TinynetError(f"{path}: {error}; convert the data set again") from None


def write_manifest(manifest: Manifest, folder: Path | str) -> None:
    """Write the manifest into ``folder``, whole or not at all."""
    path = Path(folder) / FILE_NAME
    content = json.loads(json.dumps(asdict(manifest)))
    content[files.SEAL] = files.hash_of(content)
    # the lists of names are long: one line per field keeps the file readable by `head`
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in content.items()
    ]
    files.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _checked(content: Any) -> Manifest:
    """Build a Manifest from parsed JSON; raises ValueError that says what is wrong."""
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object")
    if content.get("version") != VERSION:
        raise ValueError(f"has version {content.get('version')!r}, not {VERSION}")
    _need(content, "wnids", _is_list_of(str), "a list of names")
    _need(content, "class_names", _is_list_of(str), "a list of names")
    _need(content, "shape", _is_list_of(int, 3), "channels, height, width")
    _need(content, "mean_values", _is_list_of((int, float), 3), "three numbers")
    _need(content, "seed", _is_a(int), "an integer")
    _need(content, "source", _is_a(str), "a name")
    _need(content, "source_sha256", _is_a(str), "a hash")
    _need(content, "options", _is_a(dict), "an object")
    _need(content, "skipped", _is_list_of(str), "a list of names")
    _need(content, "counts", _is_by_split(_is_a(int)), "a number per split")
    _need(content, "names", _is_by_split(_is_list_of(str)), "a list of names per split")
    _need(content, "labelled", _is_by_split(_is_a(bool)), "true or false per split")
    _need(content, "digests", _is_by_split(_is_a(str)), "a hash per split")
    for split in SPLITS:
        if len(content["names"][split]) != content["counts"][split]:
            raise ValueError(
                f"counts {content['counts'][split]} {split} images "
                f"but names {len(content['names'][split])}"
            )
    if len(content["class_names"]) != len(content["wnids"]):
        raise ValueError("has not one class name per wnid")
    if len(set(content["wnids"])) != len(content["wnids"]) or not content["wnids"]:
        raise ValueError("has no wnids, or one twice")
    if min(content["shape"]) < 1:
        raise ValueError(f"has the shape {content['shape']}")
    content["shape"] = tuple(content["shape"])
    content["mean_values"] = tuple(float(value) for value in content["mean_values"])
    known = Manifest.__dataclass_fields__
    return Manifest(**{key: value for key, value in content.items() if key in known})


def _need(content: dict[str, Any], key: str, is_right: Any, what: str) -> None:
    if key not in content:
        raise ValueError(f"has no {key}")
    if not is_right(content[key]):
        raise ValueError(f"{key} is not {what}")


def _is_a(kind: Any) -> Any:
    # a bool is an int in Python, but not in JSON
    return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_list_of(kind: Any, length: int | None = None) -> Any:
    item_is_right = _is_a(kind)
    return lambda value: (
        isinstance(value, list)
        and (length is None or len(value) == length)
        and all(item_is_right(item) for item in value)
    )


def _is_by_split(is_right: Any) -> Any:
    return lambda value: (
        isinstance(value, dict)
        and set(value) == set(SPLITS)
        and all(is_right(item) for item in value.values())
    )
