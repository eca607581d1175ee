"""Packs finished runs into a few small tar files, to save them from a machine that is lent briefly.

    DIR/table.tar   experiment.json, dissection.json and .csv; written anew each time
    DIR/runsN.tar   folders of finished runs, each in one of the files

Unpacked over each other into an empty folder, they are a results folder again.  Each file is
replaced whole or not at all, so that an interruption leaves what was packed before.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.study.results import ResultsPaths

_BLOCK = 512  # tar pads a member to this, and puts a header of as much before it
_TAIL = 22 * _BLOCK  # two empty blocks at the end of a tar file, and up to a whole record of 20
TABLE = "table.tar"


@dataclass(frozen=True)
class Limits:
    """Bytes of one file and of all, and how many files.

    The defaults suit a machine that hands back eight files, of 16 MiB each and 64 MiB together: two
    are left for what the caller adds, and one for a file being replaced at the very end.
    """

    file: int = 12 << 20
    all: int = 50 << 20
    files: int = 5  # with the table


def pack(results: ResultsPaths, folder: Path, limits: Limits = Limits()) -> list[str]:
    """Put every finished run that is not packed yet into ``folder``; return those without room.

    The caller holds the lock of the results.  Raises OSError if a file cannot be written,
    TinynetError if an existing file is not a tar file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = [path for path in (results.experiment, results.table, results.csv) if path.exists()]
    _write(folder / TABLE, results.root, table)
    held = {path: _runs_in(path) for path in _runs_files(folder)}
    packed = {name for names in held.values() for name in names}
    sizes = {path: path.stat().st_size for path in (folder / TABLE, *held)}
    left, grown = [], set()
    for name in _finished(results):
        if name in packed:
            continue
        size = sum(_padded(path) for path in _files_of(results, name))
        place = _place(folder, sizes, size, limits)
        if place is None:
            left.append(name)
            continue
        held.setdefault(place, []).append(name)
        sizes[place] = sizes.get(place, _TAIL) + size
        grown.add(place)
    for path in sorted(grown):
        there = (found for name in held[path] for found in _files_of(results, name))
        _write(path, results.root, there)
    return left


def _place(folder: Path, sizes: dict[Path, int], size: int, limits: Limits) -> Path | None:
    """The file for a run of ``size`` bytes, a new one if none has room; None: no room at all."""
    if sum(sizes.values()) + size + _TAIL > limits.all or size + _TAIL > limits.file:
        return None
    for path, taken in sizes.items():
        if path.name != TABLE and taken + size <= limits.file:
            return path
    if len(sizes) >= limits.files:
        return None
    return folder / f"runs{len(sizes)}.tar"  # numbered from 1, since sizes holds the table too


def _finished(results: ResultsPaths) -> list[str]:
    """STAGE/NAME of the runs that have scores, the earliest first."""
    found = sorted(results.root.glob("*/*/scores.json"), key=lambda path: path.stat().st_mtime_ns)
    folders = [path.parent for path in found]
    return [f"{f.parent.name}/{f.name}" for f in folders if not f.name.startswith(".")]


def _files_of(results: ResultsPaths, name: str) -> list[Path]:
    return sorted(path for path in (results.root / name).rglob("*") if path.is_file())


def _runs_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs*.tar"))


def _runs_in(path: Path) -> list[str]:
    try:
        with tarfile.open(path) as tar:
            names = ["/".join(name.split("/")[:2]) for name in tar.getnames()]
    except tarfile.TarError as error:
        raise TinynetError(
            f"{path}: is not a tar file of packed runs ({error}); remove it"
        ) from None
    return list(dict.fromkeys(names))


def _padded(path: Path) -> int:
    return _BLOCK + -(-path.stat().st_size // _BLOCK) * _BLOCK


def _write(path: Path, root: Path, members: Iterable[Path]) -> None:
    with files.replacing(path) as temporary, tarfile.open(temporary, "w") as tar:
        for member in members:
            tar.add(member, member.relative_to(root).as_posix(), filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)  # a fraction takes two more blocks
    return member
