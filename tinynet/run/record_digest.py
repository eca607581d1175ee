"""The hash of an LMDB's records, taken in a child: a damaged LMDB can crash whoever reads it."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

from tinynet.caffeformat.lmdb import open_store
from tinynet.errors import TinynetError


def of(path: Path) -> str:
    """SHA-256 over every key and value in key order, as a manifest's ``digests`` are.

    Raises TinynetError where the database is damaged.
    """
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
    return answer


def _answer(path: Path, writer: int) -> None:
    """In the child: write the hash, or the error, and end without the parent's clean-up."""
    status = 1
    answer = f"{path}: cannot be read"
    try:
        digest = hashlib.sha256()
        with open_store(path) as store:
            for key, value in store.records():
                digest.update(key)
                digest.update(value)
        answer, status = digest.hexdigest(), 0
    except TinynetError as error:
        answer = str(error)
    except Exception as error:  # LMDB's own, which only the store may know
        answer = f"{path}: is damaged ({error}); convert the data again"
    finally:
        os.write(writer, answer.encode("utf-8")[:4000])
        os._exit(status)
