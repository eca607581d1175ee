"""Summarizes an LMDB, so that a change of its contents is noticed without reading all of it.

All keys are read; in a converted data set they hold the number and name of every image.  Of the
values only a sample, spread over the whole, is read; 'tinynet data verify' reads every record.  A
child process does the reading, since a damaged LMDB can crash its reader.
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

from tinynet.caffeformat.lmdb import is_open, open_store
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.errors import TinynetError

SIZE = 256  # how many records' values are read: 3 MB of Tiny ImageNet


def contents(path: Path) -> dict[str, Any]:
    """The number of records of an LMDB, the digest of a sample and, if known, that of all records.

    The digest of all records is the one that the data set's manifest states; for an LMDB without a
    manifest it is known only if the sample includes every record.  Raises TinynetError if the
    records are not those of the manifest, by their keys and, in a small LMDB, their values.
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
    """The manifest beside a database and the database's split; None if it is not one of ours."""
    paths = DataPaths(database.parent)
    for split in SPLITS:
        if database.name == paths.lmdb(split).name and paths.manifest.exists():
            return read_manifest(paths.root), split
    return None


@dataclass(frozen=True)
class Sample:
    """``records``: how many there are.  ``keys``: SHA-256 over all keys (see ``hash_of_keys``).

    ``digest``: SHA-256 over key and value of the sampled records, in key order; if all records are
    sampled, it is the one in a manifest's ``digests``.
    """

    records: int
    keys: str
    digest: str

    @property
    def is_whole(self) -> bool:
        return self.records <= SIZE


def sample_of(path: Path) -> Sample:
    """Read the sample of the LMDB ``path``.  Raises TinynetError if it is missing or damaged."""
    if is_open(path):  # a net of this process reads it, and a child could not open it again
        return _read_whole(path)
    reader, writer = os.pipe()
    # The child keeps all signals blocked: an exception of a handler, such as KeyboardInterrupt,
    # would let it go on as a second parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if child == 0:
        _answer(path, writer)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read().decode("utf-8", "replace")
    finally:
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
    """SHA-256 over keys in order, each preceded by its length."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(len(key).to_bytes(2, "little") + key)
    return digest.hexdigest()


def _answer(path: Path, writer: int) -> None:
    """In the child: write the sample or the error, and exit without the parent's clean-up."""
    status = 1
    try:
        try:
            answer, status = json.dumps(asdict(_read_whole(path))), 0
        except TinynetError as error:
            answer = str(error)
        os.write(writer, answer.encode("utf-8", "replace")[:4000])
    finally:
        os._exit(status)


def _read_whole(path: Path) -> Sample:
    """Read the sample.  Raises TinynetError if the LMDB is missing or damaged."""
    try:
        return _read(path)
    except TinynetError:
        raise
    except Exception as error:  # LMDB's own exceptions, which only the store may import
        raise TinynetError(f"{path}: is damaged ({error}); convert the data again") from None


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
