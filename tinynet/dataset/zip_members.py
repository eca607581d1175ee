"""Checks the members of a zip before anything in it is read or unpacked."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

from tinynet.errors import TinynetError

# The official archive holds 120,206 files of at most 2.7 MB, 240 MB in all.
_MOST_FILES = 2_000_000
_LARGEST_FILE = 64 << 20
_LARGEST_TOTAL = 16 << 30


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip, and check that all its members are plain files or folders of bounded size.

    Raises TinynetError if the file is not a whole zip, or has a member whose path leads outside, a
    link, an encrypted member, a repeated name, or sizes that no data set has.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error):
        raise TinynetError(
            f"{path}: is not a whole zip; download it again ('tinynet data fetch')"
        ) from None
    try:
        _check(archive.infolist(), path)
    except BaseException:
        archive.close()
        raise
    return archive


def _check(members: list[zipfile.ZipInfo], path: Path) -> None:
    if len(members) > _MOST_FILES:
        raise TinynetError(f"{path}: holds {len(members)} files, more than any data set has")
    seen: set[str] = set()
    total = 0
    for member in members:
        name = member.filename
        if leads_outside(name):
            raise TinynetError(f"{path}: the path {name!r} leads outside; nothing was read")
        kind = stat.S_IFMT(member.external_attr >> 16)
        # 0: from a tool that stores no Unix mode
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise TinynetError(f"{path}: {name!r} is a link or device, no plain file")
        if member.flag_bits & 1:
            raise TinynetError(f"{path}: {name!r} is encrypted")
        if name in seen:
            raise TinynetError(f"{path}: has two files named {name!r}")
        seen.add(name)
        if member.file_size > _LARGEST_FILE:
            raise TinynetError(f"{path}: {name!r} unpacks to {member.file_size} bytes, too many")
        total += member.file_size
    if total > _LARGEST_TOTAL:
        raise TinynetError(f"{path}: unpacks to {total} bytes, more than any data set has")


def leads_outside(name: str) -> bool:
    """Whether a member's path could, on any system, leave the folder that it is unpacked into."""
    path = PurePosixPath(name)
    return (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or ":" in path.parts[0]
    )
