"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a name beside ``path``; the file that the block writes there then becomes ``path``.

    It is synced to the disk first, so that ``path`` is the old file or the new one also after a
    power cut.  Where the block raises, ``path`` stays as it was and nothing else is left.  An
    OSError that does not say where (a full disk) leaves the block with the name ``path``.

    A link keeps its name and its target is replaced.  What is no regular file (a device, a pipe)
    is written to as it is: a rename would put a file in the place of /dev/null.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    replaced = not target.exists() or target.is_file() or target.is_dir()
    temporary = target.with_name(f".{target.name}.{os.getpid()}") if replaced else path
    try:
        yield temporary
        if replaced:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, os.fspath(temporary)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        if replaced:
            with contextlib.suppress(OSError):  # a read-only system refuses what is not there, too
                temporary.unlink()


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let an OSError that does not say where (a full disk) leave the block with the name ``path``.

    For what is written bit by bit, as logs are.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def sync_folder(folder: str | Path) -> None:
    """Make the names of files just renamed into ``folder`` outlast a power cut, where it can."""
    with contextlib.suppress(OSError):  # some network file systems sync no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` as ``path``, whole or not at all.  Raises OSError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` in UTF-8 as ``path``, whole or not at all.  Raises OSError."""
    write_bytes(path, text.encode("utf-8"))
