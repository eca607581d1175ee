"""The manifest of a converted data set: ``manifest.json`` beside its LMDBs.

It describes the LMDBs and their origin.  It is written last, so a folder without one is an
unfinished conversion.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.dataset.old_names import renamed
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.errors import TinynetError

VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """The content of a converted folder.

    ``counts``, ``names``, ``labelled`` and ``digests`` are by split (train, val, test).  A class
    index is a position in ``wnids``.  ``names[split]`` has the image name of every record, in key
    order.  Records of a split that is not ``labelled`` have the label 0, which means nothing.
    ``digests[split]`` is the SHA-256 over every key and value, in key order.
    """

    counts: dict[str, int]
    wnids: list[str]
    class_names: list[str]
    shape: tuple[int, int, int]  # channels, height, width of every image
    mean_values: tuple[float, float, float]  # B, G, R over the training images, 0 to 255
    seed: int
    source: str  # name of the folder or zip that was converted
    source_sha256: str  # over the names and bytes of every file read, from a folder or a zip
    names: dict[str, list[str]]
    labelled: dict[str, bool]
    digests: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)  # those of the conversion
    skipped: list[str] = field(default_factory=list)  # images left out by --skip-bad
    version: int = VERSION

    @property
    def classes(self) -> int:
        return len(self.wnids)

    def keys(self, split: str) -> list[bytes]:
        """The keys of a split's records, in their order."""
        return [record_key(number, name) for number, name in enumerate(self.names[split])]


def record_key(number: int, name: str) -> bytes:
    """The key of a record; byte order is the order of the numbers, up to 10^8 records."""
    # a damaged manifest may hold lone surrogates; its key then matches no record
    return f"{number:08d}_{name}".encode("utf-8", "surrogatepass")


def read_manifest(folder: Path | str) -> Manifest:
    """Read the manifest of a converted folder.

    Raises TinynetError if the folder has none (it is not a finished conversion), or if the manifest
    cannot be read, is of another version, or contradicts itself.
    """
    path = DataPaths(Path(folder)).manifest
    try:
        content = files.read_json(path)
    except FileNotFoundError:
        raise TinynetError(
            f"{path}: no such file, so {folder} is not a finished conversion; "
            "run 'tinynet data convert'"
        ) from None
    except TinynetError as error:
        raise TinynetError(f"{error}; convert again") from None
    # manifests of earlier versions have no seal
    seal = content.pop(files.SEAL, None) if isinstance(content, dict) else None
    try:
        if seal is not None and seal != files.content_hash(content):
            raise ValueError("is not what was written (its SHA-256 differs)")
        return _checked(renamed(content))  # after the check: the seal is that of the old names
    except RecursionError:
        raise TinynetError(f"{path}: is nested too deep; convert the data set again") from None
    except ValueError as error:
        raise TinynetError(f"{path}: {error}; convert the data set again") from None


def write_manifest(manifest: Manifest, folder: Path | str) -> None:
    """Write the manifest into ``folder`` atomically."""
    path = DataPaths(Path(folder)).manifest
    content = json.loads(json.dumps(asdict(manifest)))
    content[files.SEAL] = files.content_hash(content)
    # the lists of names are long: one line per field keeps the file readable by `head`
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in content.items()
    ]
    files.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _checked(content: Any) -> Manifest:
    """Make a Manifest from parsed JSON.  Raises ValueError that says what is wrong."""
    if isinstance(content, dict) and content.get("version") != VERSION:
        raise ValueError(f"has version {content.get('version')!r}, not {VERSION}")
    found = files.typed(Manifest, content)
    for name in ("counts", "names", "labelled", "digests"):
        if set(getattr(found, name)) != set(SPLITS):
            raise ValueError(f"{name}: has not one entry for each of {', '.join(SPLITS)}")
    for split in SPLITS:
        if len(found.names[split]) != found.counts[split]:
            raise ValueError(
                f"counts {found.counts[split]} {split} images but names {len(found.names[split])}"
            )
    if len(found.class_names) != len(found.wnids):
        raise ValueError("has not one class name per wnid")
    if len(set(found.wnids)) != len(found.wnids) or not found.wnids:
        raise ValueError("has no wnids, or one twice")
    if min(found.shape) < 1:
        raise ValueError(f"has the shape {list(found.shape)}")
    return found
