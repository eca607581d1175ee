"""The images on which values were chosen, identified by content.

A search writes this beside the values that it chose.  A report of accuracies with these values uses
it to count how many of the reported images took part in the choice.  Images are compared by content
and not by name or LMDB, since the same images may be in another conversion, half or fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.dataset.split import content_of

_DIGITS = 12  # hex digits of a SHA-256: two sets of 10,000 share one by chance 1 time in 3 million


@dataclass(frozen=True)
class SelectionSet:
    """The images of one split.

    ``source``, ``source_sha256``: their data set; ``role``: what they are in it; ``split``: how
    they were held out (plan, seed, part), None if they were not; ``digest``: that of their LMDB;
    ``contents``: the first digits of the SHA-256 of each image's pixels, sorted.
    """

    images: int
    role: str
    source: str
    source_sha256: str
    split: dict[str, Any] | None
    digest: str
    contents: str

    @property
    def facts(self) -> dict[str, Any]:
        """All fields but the contents, which are only for comparison."""
        return {key: value for key, value in asdict(self).items() if key != "contents"}


def selection_set(folder: Path) -> SelectionSet:
    """The selection set of a converted folder: the images of its ``val``."""
    manifest = read_manifest(folder)
    roles = manifest.options.get("roles") or {"val": "the validation images"}
    return SelectionSet(
        images=manifest.counts["val"],
        role=roles["val"],
        source=manifest.source,
        source_sha256=manifest.source_sha256,
        split=manifest.options.get("split"),
        digest=manifest.digests["val"],
        contents=" ".join(sorted(_contents(folder, "val"))),
    )


def overlap(chosen: SelectionSet, folder: Path, split: str) -> int:
    """How many images of a converted folder's split are in the selection set."""
    known = set(chosen.contents.split())
    return sum(content in known for content in _contents(folder, split))


def parse(content: Any) -> SelectionSet:
    """Make a SelectionSet from parsed JSON.  Raises ValueError if it has another form."""
    found = files.typed(SelectionSet, content)
    if len(found.contents.split()) != found.images:
        raise ValueError("it does not count its images")
    return found


def _contents(folder: Path, split: str) -> Iterator[str]:
    with open_store(DataPaths(folder).lmdb(split)) as store:
        for _, value in store.records():
            yield content_of(decode_datum(value)[0]).hex()[:_DIGITS]
