"""Writes a folder atomically: data sets and their conversions appear complete or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tinynet import files
from tinynet.errors import TinynetError

_LOCK = ".lock"
_REPLACED = "-replaced"


def check_absent(out: Path, overwrite: bool, contents: frozenset[str]) -> None:
    """Raise TinynetError if ``out`` exists and may not be replaced.

    An empty folder may be replaced.  With ``overwrite`` so may a folder that holds nothing but
    ``contents`` (file names): a mistyped path must not delete other files.
    """
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise TinynetError(f"{out}: is a file; choose another folder with --out")
    if os.path.ismount(out):
        raise TinynetError(
            f"{out}: is a mount point, which cannot be replaced; name a folder in it with --out"
        )
    found = {entry.name for entry in out.iterdir()} - {_LOCK}
    if not found:
        return
    foreign = sorted(found - contents)
    if foreign:
        raise TinynetError(
            f"{out}: holds other files, such as {foreign[0]}; choose another folder with --out"
        )
    if not overwrite:
        raise TinynetError(f"{out}: exists; pass --overwrite to replace it")


def require_space(folder: Path, out: Path, needed: int, who: str) -> None:
    """Raise TinynetError, which names ``out``, unless ``needed`` bytes are free in ``folder``.

    ``who``: subject and verb of the message, such as "unpacking needs".
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TinynetError(
            f"{out}: no space left: {who} {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; "
            "free some or choose another --out"
        )


@contextlib.contextmanager
def whole_folder(out: Path, overwrite: bool, contents: frozenset[str]) -> Iterator[Path]:
    """Yield a new folder beside ``out`` that becomes ``out`` when the block succeeds.

    If the block raises (also by Ctrl-C, or by SIGTERM, which the command line turns into an
    exception), the folder is removed and ``out`` stays as it was.  What a killed process left is
    removed by the next call, or becomes ``out`` if it was complete.  A link stays, and the folder
    that it names is replaced.  ``contents``: as in ``check_absent``.
    """
    out = Path(os.path.realpath(out))
    _settle_abandoned(out)
    check_absent(out, overwrite, contents)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial, lock = _locked_folder(out)
    try:
        with files.name_in_errors(out), lock:
            yield partial
            check_absent(out, overwrite, contents)  # it may have appeared meanwhile
            _exchange(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}.partial-"


def _locked_folder(out: Path) -> tuple[Path, TextIO]:
    """Make a partial folder of ``out``; return it with its lock file, which we hold while open."""
    while True:
        partial = files.new_folder(out, _prefix(out))
        with files.name_in_errors(out):
            lock = open(partial / _LOCK, "w")  # noqa: SIM115
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:  # without locks, abandoned folders are never removed
                if error.errno not in files.NO_LOCKS:
                    raise
            if files.is_at(partial / _LOCK, lock.fileno()):
                return partial, lock
        lock.close()  # another process took it for abandoned before we had the lock


def _exchange(partial: Path, out: Path) -> None:
    """Replace ``out`` by ``partial``; at every moment ``out`` is complete or absent.

    From the first rename on, ``partial`` is known to be complete by the folder ``replaced``.
    """
    replaced = partial.with_name(partial.name + _REPLACED)
    if out.exists():
        out.rename(replaced)
    try:
        partial.rename(out)
    except OSError:
        if replaced.exists():
            replaced.rename(out)
        raise
    (out / _LOCK).unlink()
    shutil.rmtree(replaced, ignore_errors=True)
    files.sync_folder(out.parent)


def _settle_abandoned(out: Path) -> None:
    """Remove what killed processes left; running ones hold the locks of their partial folders."""
    for replaced in out.parent.glob(f"{_prefix(out)}*{_REPLACED}"):
        if not out.exists():  # killed between the two renames
            partial = replaced.with_name(replaced.name.removesuffix(_REPLACED))
            with _abandoned(partial) as is_abandoned:
                if is_abandoned:
                    partial.rename(out)
                    (out / _LOCK).unlink()
        if out.exists():
            shutil.rmtree(replaced, ignore_errors=True)
    for partial in out.parent.glob(f"{_prefix(out)}*"):
        if not partial.name.endswith(_REPLACED):
            with _abandoned(partial) as is_abandoned:
                if is_abandoned:
                    shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _abandoned(partial: Path) -> Iterator[bool]:
    """Yield whether no process holds the lock of ``partial``; if so, hold it in the block."""
    try:
        # opened for writing too, for the reason given in files.open_lock
        lock = open(partial / _LOCK, "r+")  # noqa: SIM115
    except OSError:
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        with contextlib.suppress(OSError):
            yield True
