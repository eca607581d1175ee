"""Downloads the official zip, resuming where an earlier try ended, and unpacks it.

It uses only the standard library: download libraries offer retries and checksums, but no resume.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from tinynet.dataset.source_files import ZipFiles
from tinynet.dataset.synthetic import CONTENTS
from tinynet.dataset.whole_folder import check_absent, require_space, whole_folder
from tinynet.errors import TinynetError, UsageError
from tinynet.files import component_fault

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"

_TRIES = 5  # give up after so many in a row without a new byte
_SILENCE = 60  # seconds without an answer before a try counts as failed
_BLOCK = 1 << 18


def fetch(
    out: Path | str,
    *,
    url: str = URL,
    md5: str = MD5,
    overwrite: bool = False,
    pause: float = 2.0,
) -> tuple[Path, Path]:
    """Download the zip at ``url`` into the folder ``out`` and unpack it there; return both paths.

    A zip that exists and has the checksum is not downloaded again; a partial download of an earlier
    try, ``NAME.zip.part``, is continued.  Between failed tries it waits ``pause`` seconds, longer
    each time.  Raises TinynetError if the server fails, if the checksum differs (the file is then
    removed), if the zip is unsafe, or if the folder exists and may not be overwritten; UsageError
    for an address that is not a zip's, and for an invalid ``md5``.
    """
    out = Path(out)
    name = _name(url)
    md5 = md5.strip().lower()
    if not re.fullmatch("[0-9a-f]{32}", md5):
        raise UsageError(f"--md5 {md5}: an MD5 checksum is 32 hexadecimal digits")
    archive = out / name
    folder = archive.with_suffix("")
    check_absent(folder, overwrite, CONTENTS)
    out.mkdir(parents=True, exist_ok=True)
    if not (archive.is_file() and _md5(archive) == md5):
        download(url, archive, md5, pause=pause)
    unpack(archive, folder, overwrite=overwrite)
    return archive, folder


def _name(url: str) -> str:
    """The name of the zip at an address; it names the file and, without .zip, the folder."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an unbalanced bracket, for instance
        parts = urlsplit("")
    name = unquote(parts.path).rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not parts.netloc or not name.endswith(".zip"):
        raise UsageError(f"--url {url!r}: is not the http or https address of a .zip")
    if fault := component_fault(name[: -len(".zip")]):
        raise UsageError(f"{url}: its name {name!r} {fault}, and it is to name a folder")
    return name


def download(url: str, path: Path, md5: str, *, pause: float = 2.0) -> None:
    """Download ``url`` to ``path``, which appears only once it is whole and has the checksum."""
    part = path.with_name(path.name + ".part")
    failures = 0
    # The .part may be whole already: an earlier run may have ended just before the rename.
    while not (part.is_file() and part.stat().st_size and _md5(part) == md5):
        before = part.stat().st_size if part.is_file() else 0
        try:
            whole = _continue(url, part)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise TinynetError(
                    f"{url}: the server answers {error.code} {error.reason}"
                ) from None
            whole, reason = False, f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # an error of the file, not of the connection
            whole, reason = False, str(getattr(error, "reason", None) or error or type(error))
        else:
            reason = "the connection was cut"
        if whole:
            if (found := _md5(part)) != md5:
                part.unlink()
                raise TinynetError(
                    f"{url}: has the MD5 {found}, not {md5}; removed, so run the command again "
                    "or give the right --md5"
                )
            break
        gained = (part.stat().st_size if part.is_file() else 0) > before
        failures = 0 if gained else failures + 1
        if failures == _TRIES:
            raise TinynetError(
                f"{url}: failed {_TRIES} times in a row: {reason}; run the command again to "
                "continue where it stopped"
            )
        time.sleep(pause * (failures + 1))
    part.replace(path)


def _continue(url: str, part: Path) -> bool:
    """Append what is missing to ``part``; return whether it is now as long as the server says."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "tinynet"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is left: it is whole, or of another file
            size = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            error.close()
            if size == str(start):
                return True
            part.unlink()
            return False
        raise
    with response:
        if response.status != 206:
            start = 0  # the server ignores Range and sends everything
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            part.unlink()
            return False
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                file=sys.stderr,
                disable=None,
            ) as progress,
        ):
            while block := response.read(_BLOCK):
                try:
                    file.write(block)
                    file.flush()
                except OSError as error:  # add the name, or it would pass for a connection's error
                    raise OSError(error.errno, error.strerror, str(part)) from None
                progress.update(len(block))
            written = file.tell()
    return total is None or written == total


def unpack(archive: Path, folder: Path, *, overwrite: bool = False) -> None:
    """Unpack the data set in a zip into ``folder``, which appears only once it is complete.

    Unpacks the files of the layout, from the folder in the zip that holds ``wnids.txt``.  Raises
    TinynetError for a zip that is unsafe or damaged, or that holds no data set.
    """
    with closing(ZipFiles(archive)) as files, whole_folder(folder, overwrite, CONTENTS) as partial:
        paths = [path for path in sorted(files.listing()) if path.partition("/")[0] in CONTENTS]
        if "wnids.txt" not in paths:
            raise TinynetError(f"{archive}: holds no wnids.txt, so no data set to unpack")
        # small files occupy whole blocks
        require_space(partial, folder, files.unpacked_size(block=4096), "unpacking needs")
        with tqdm(paths, unit=" files", desc="unpack", file=sys.stderr, disable=None) as progress:
            for path in progress:
                target = partial / path
                if path.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    data = files.read(path)
                except OSError as error:
                    raise TinynetError(f"{files.show(path)}: {error}; download it again") from None
                with open(target, "xb") as file:
                    file.write(data)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
