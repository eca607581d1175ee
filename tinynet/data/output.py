"""Output folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from tinynet.errors import TinynetError

_LOCK = ".lock"


def check_absent(out: Path, overwrite: bool, contents: frozenset[str]) -> None:
    """Raise TinynetError if ``out`` may not be written.

    An empty folder may.  With ``overwrite`` so may a folder that holds nothing but ``contents``
    (file names): a mistyped path must not cost anyone their files.
    """
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise TinynetError(f"{out}: is a file; choose another folder with --out")
    found = {entry.name for entry in out.iterdir()}
    if not found:
        return
    foreign = sorted(found - contents)
    if foreign:
        raise TinynetError(
            f"{out}: holds other files, such as {foreign[0]}; choose another folder with --out"
        )
    if not overwrite:
        raise TinynetError(f"{out}: exists; pass --overwrite to replace it")


@contextlib.contextmanager
def whole_folder(out: Path, overwrite: bool, contents: frozenset[str]) -> Iterator[Path]:
    """Yield a new folder beside ``out`` that becomes ``out`` when the block ends well.

    When it ends by an exception (an error, Ctrl-C, or SIGTERM, which the command line turns into
    one), the folder is removed and ``out`` stays as it was.  What a killed process left is removed
    by the next one.  ``contents`` as in ``check_absent``.
    """
    out = Path(os.path.abspath(out))
    check_absent(out, overwrite, contents)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    try:
        partial = Path(tempfile.mkdtemp(prefix=_prefix(out), dir=out.parent))
    except OSError as error:  # of a name that nobody gave
        raise OSError(error.errno, error.strerror, str(out)) from None
    try:
        with open(partial / _LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield partial
            check_absent(out, overwrite, contents)  # it may have appeared meanwhile
            (partial / _LOCK).unlink()
            partial.chmod(0o777 & ~_umask())  # mkdtemp gives nobody else access
            _exchange(partial, out)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        # a write that failed does not say where
        raise OSError(error.errno, error.strerror, str(out)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold the lock file ``lock``, in a folder that is made for it where there is none.

    Where the block fails before it has put anything else there, the folders that were made go too.
    """
    lock = Path(os.path.abspath(lock))
    made = [folder for folder in lock.parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(str(lock)):
            yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: others are at work there
            if made and os.listdir(lock.parent) == [lock.name]:
                lock.unlink()
            for folder in made:
                folder.rmdir()
        raise


def _prefix(out: Path) -> str:
    return f".{out.name}.partial-"


def _exchange(partial: Path, out: Path) -> None:
    """Put ``partial`` in the place of ``out``; at every moment ``out`` is whole or absent."""
    replaced = partial.with_name(partial.name + "-replaced")
    if out.exists():
        out.rename(replaced)
    try:
        partial.rename(out)
    except OSError:
        if replaced.exists():
            replaced.rename(out)
        raise
    shutil.rmtree(replaced, ignore_errors=True)
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_abandoned(out: Path) -> None:
    """Remove what killed processes left of ``out``; a running one holds the lock of its folder."""
    for partial in out.parent.glob(f"{_prefix(out)}*"):
        with contextlib.suppress(OSError), open(partial / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
