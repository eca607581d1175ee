"""Files: atomic writes, locks, names, and JSON that is checked when it is read."""

from __future__ import annotations

# json, hashlib … are imported where they are used: a help page needs none of them
import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tinynet.errors import TinynetError

T = TypeVar("T")
_LONGEST_COMPONENT = 120  # bytes; a file system takes 255, and suffixes are added


# ----------------------------------------------------------------------------------------- files


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


def write_json(path: str | Path, content: Any) -> None:
    """Write a dataclass, or what JSON has, as ``path``, whole or not at all.  Raises OSError."""
    import dataclasses
    import json

    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        content = dataclasses.asdict(content)
    write_text(path, json.dumps(content, indent=1, default=os.fspath) + "\n")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows of cells, the header first, as a CSV file has them."""
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def require_place(folder: str | Path) -> None:
    """Raise OSError where ``folder`` could not be made or written into: before long work for it."""
    path = Path(os.path.abspath(folder))
    while not path.exists():
        path = path.parent
    if not path.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def new_folder(beside: Path, prefix: str) -> Path:
    """Make a folder whose name begins with ``prefix`` beside a path, with the mode of any other.

    One of tempfile's would be closed to others, and out of a shared folder's group once it is not.
    Raises OSError, which names ``beside``.
    """
    import secrets

    while True:
        folder = beside.with_name(prefix + secrets.token_hex(4))
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:  # of a name that nobody gave
            raise OSError(error.errno, error.strerror, str(beside)) from None
        return folder


def component_fault(name: str) -> str | None:
    """Why ``name`` may not name one file or folder, as "has a '/' …"; None where it may."""
    if not name or name[0] in ".-":
        return "is empty or starts with '.' or '-'"
    if "/" in name or not name.isprintable():
        return "has a '/' or a character that cannot be printed"
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not proper Unicode"
    if length > _LONGEST_COMPONENT:
        return f"has {length} bytes, more than {_LONGEST_COMPONENT}"
    return None


def swallow(stream: TextIO) -> None:
    """Let what is still written to a stream, and what waits in it, go nowhere instead of failing.

    A stream that is no file is left as it is.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # ValueError: closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


# ----------------------------------------------------------------------------------------- locks


#: what a file system that has no locks says of them, or one whose lock server does not answer
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold the lock file ``lock``, in a folder that is made for it where there is none.

    Where the block fails before it has put anything else there, the folders that were made go too.
    Raises OSError, with the name, on a file system without locks.
    """
    lock = Path(os.path.abspath(lock))
    made = [folder for folder in lock.parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = open_lock(lock)
        try:
            with naming(lock):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: others are at work there
            if made and os.listdir(lock.parent) == [lock.name]:
                lock.unlink()
            for folder in made:
                folder.rmdir()
        raise


def open_lock(path: Path) -> int:
    """The descriptor of a lock file, which is made where there is none.  Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # read-write, since NFS turns an exclusive flock into a lock that needs it
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Take the kernel's lock on an open file, without waiting; whether it was to be had.

    Processes that inherit the descriptor hold it too.  Raises OSError on a system without locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds the kernel's lock on a file; False where there is no such file.

    Raises OSError where that cannot be told.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        with naming(path):
            return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------------------------- hashes


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; of any size, read in parts.  Raises OSError."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------ JSON


SEAL = "sha256"


def hash_of(content: dict[str, Any]) -> str:
    """SHA-256 of a JSON object without its seal."""
    import hashlib
    import json

    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_sealed_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``, sealed; whole or not at all.  Raises OSError."""
    write_json(path, {**content, SEAL: hash_of(content)})


def read_sealed_json(path: Path, largest: int) -> dict[str, Any]:
    """The content, without the seal, of a file of at most ``largest`` bytes.

    Raises TinynetError where the file is longer, no JSON object, or not what was sealed; OSError
    where it cannot be opened.
    """
    import json

    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise TinynetError(f"{path}: is longer than {largest:,} bytes")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TinynetError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise TinynetError(f"{path}: is not a JSON object")
    seal = content.pop(SEAL, None)
    try:
        whole = seal == hash_of(content)
    except RecursionError:
        whole = False
    if not whole:
        raise TinynetError(f"{path}: is not what was written (its SHA-256 differs)")
    return content


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises OSError where it cannot be opened, TinynetError, which names it, where it is no JSON.
    """
    import json

    try:
        return json.loads(path.read_bytes(), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise TinynetError(f"{path}: cannot be read as JSON: {error}") from None


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


def typed(kind: type[T], content: Any) -> T:
    """The dataclass ``kind`` made from parsed JSON, down to the dataclasses that it holds.

    Keys that it has no fields for are left out.  Raises ValueError, which names the field, where
    one is missing or has another type than its annotation states; nothing is coerced, but that an
    integer may stand for a float, a list for a tuple and a text for a Path.
    """
    import msgspec  # imported here: the engine, which only writes files, needs none

    try:
        return msgspec.convert(content, kind, dec_hook=_made)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "").partition(" - at $")
        what = what[0].lower() + what[1:]
        raise ValueError(f"{where.lstrip('.')}: {what}" if where else what) from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _made(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
