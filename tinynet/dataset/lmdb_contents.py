"""What an LMDB holds, and what tells whether that is still the same, without reading all of it.

Its keys, which are read all, hold the number and name of every image in a converted data set; of
the values a sample spread over the whole is read.  'tinynet data verify' reads every record.
It is done in a child: a damaged LMDB can crash whoever reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinynet.caffeformat.lmdb import open_store
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.errors import TinynetError

SIZE = 256  # records whose values are read: 3 MB of Tiny ImageNet


def contents(path: Path) -> dict[str, Any]:
    """What an LMDB holds: number of records, hash of a sample, and where it is known the digest.

    The digest is that of all records, which the data set's manifest states; an LMDB without one
    has it where the sample is the whole.  Raises TinynetError where the records are not those of
    the manifest, as far as their keys and, in a small LMDB, their values tell.
    """
    sample = sample_of(path)
    found: dict[str, Any] = {"records": sample.records, "sample": sample.digest}
    described = manifest_of(path)
    if described is None:
        return {**found, "digest": sample.digest} if sample.is_whole else found
    manifest, split = described
    digest = manifest.digests[split]
    same = sample.keys == hash_of_keys(manifest.keys(split))
    if not same or (sample.is_whole and sample.digest != digest):
        raise TinynetError(
            f"{path}: its records are not those that its manifest.json states; 'tinynet data "
            f"verify {path.parent}' says more; convert the data again"
        )
    return {**found, "digest": digest}


def manifest_of(database: Path) -> tuple[Manifest, str] | None:
    """The manifest beside a database that is one of ours, and which split it is, or None."""
    paths = DataPaths(database.parent)
    for split in SPLITS:
        if database.name == paths.lmdb(split).name and paths.manifest.exists():
            return read_manifest(paths.root), split
    return None


@dataclass(frozen=True)
class Sample:
    """``keys``: SHA-256 over all keys (see ``hash_of_keys``).

    ``digest``: over key and value of the sampled records in key order; where all are sampled, that
    is what a manifest's ``digests`` hold.
    """

    records: int
    keys: str
    digest: str

    @property
    def is_whole(self) -> bool:
        return self.records <= SIZE


def sample_of(path: Path) -> Sample:
    """The sample of the LMDB ``path``.  Raises TinynetError where the database is damaged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(path, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode("utf-8")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        raise TinynetError(
            f"{path}: is damaged (reading it ends in {name}); convert the data again"
        )
    if status != 0:
        raise TinynetError(answer or f"{path}: cannot be read")
    return Sample(**json.loads(answer))


def hash_of_keys(keys: Iterable[bytes]) -> str:
    """SHA-256 over keys in their order, each with its length."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(len(key).to_bytes(2, "little") + key)
    return digest.hexdigest()


def _answer(path: Path, writer: int) -> None:
    """In the child: write the sample, or the error, and end without the parent's clean-up."""
    status = 1
    answer = f"{path}: cannot be read"
    try:
        answer, status = json.dumps(asdict(_read(path))), 0
    except TinynetError as error:
        answer = str(error)
    except Exception as error:  # LMDB's own, which only the store may know
        answer = f"{path}: is damaged ({error}); convert the data again"
    finally:
        os.write(writer, answer.encode("utf-8")[:4000])
        os._exit(status)


def _read(path: Path) -> Sample:
    digest = hashlib.sha256()
    with open_store(path) as store:
        keys = list(store.keys())
        last = len(keys) - 1
        read = set(range(len(keys)))
        if len(keys) > SIZE:
            read = {last * number // (SIZE - 1) for number in range(SIZE)}
        for number, value in enumerate(store.mapped_values()):
            if number in read:
                digest.update(keys[number])
                digest.update(value)
    return Sample(len(keys), hash_of_keys(keys), digest.hexdigest())
