"""Writes a folder atomically: data sets and their conversions appear complete or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

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
    exception), the folder is removed and ``out`` stays as it was.  A folder that a killed process
    left is removed by the next call.  A link stays, and the folder that it names is replaced.
    ``contents``: as in ``check_absent``.
    """
    out = Path(os.path.realpath(out))
    check_absent(out, overwrite, contents)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    partial = files.new_folder(out, _prefix(out))
    try:
        with files.name_in_errors(out), open(partial / _LOCK, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:  # without locks, abandoned folders are never removed
                if error.errno not in files.NO_LOCKS:
                    raise
            yield partial
            check_absent(out, overwrite, contents)  # it may have appeared meanwhile
            (partial / _LOCK).unlink()
            _exchange(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}.partial-"


def _exchange(partial: Path, out: Path) -> None:
    """Replace ``out`` by ``partial``; at every moment ``out`` is complete or absent."""
    replaced = partial.with_name(partial.name + _REPLACED)
    if out.exists():
        out.rename(replaced)
    try:
        partial.rename(out)
    except OSError:
        if replaced.exists():
            replaced.rename(out)
        raise
    shutil.rmtree(replaced, ignore_errors=True)
    files.sync_folder(out.parent)


def _remove_abandoned(out: Path) -> None:
    """Remove the partial folders of killed processes; running ones hold the locks of theirs."""
    for partial in out.parent.glob(f"{_prefix(out)}*"):
        if partial.name.endswith(_REPLACED):
            # what a process that was killed while it removed it has left: ``out`` is its successor
            if out.exists():
                shutil.rmtree(partial, ignore_errors=True)
            continue
        with contextlib.suppress(OSError), open(partial / _LOCK, "r+") as lock:
            # opened for writing too, for the reason given in files.open_lock
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(partial, ignore_errors=True)
