"""Files: atomic writes, locks, names, and JSON that is checked when it is read."""

from __future__ import annotations

# json, hashlib and others are imported where they are used: a help page needs none of them
import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tinynet.errors import TinynetError

T = TypeVar("T")
_LONGEST_COMPONENT = 120  # bytes; a file system takes 255, and suffixes are added


# ----------------------------------------------------------------------------------------- files


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what the block writes there then becomes ``path``.

    The file is synced to the disk first, so that even after a power cut ``path`` is either the old
    file or the new one.  If the block raises, ``path`` stays as it was and nothing else is left.
    An OSError without a file name (a full disk) is raised with the name ``path``.

    For a symbolic link the target is replaced.  A device or a pipe is written to directly: a rename
    would replace /dev/null by a file.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    replaced = not target.exists() or target.is_file() or target.is_dir()
    # not by the process id alone: other threads, and containers that share a volume, have the same
    own = f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
    temporary = target.with_name(own) if replaced else path
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
            with contextlib.suppress(OSError):  # renamed above, or the file system is read-only
                temporary.unlink()


@contextlib.contextmanager
def name_in_errors(path: str | Path) -> Iterator[None]:
    """Add the name ``path`` to an OSError of the block that has none (a full disk).

    For files that are written piece by piece, such as logs.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def sync_folder(folder: str | Path) -> None:
    """Make files just renamed into ``folder`` survive a power cut, where the system can do so."""
    with contextlib.suppress(OSError):  # some network file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically.  Raises OSError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` in UTF-8 to ``path`` atomically.  Raises OSError."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, content: Any) -> None:
    """Write a dataclass or JSON-like content to ``path`` atomically.  Raises OSError."""
    import dataclasses
    import json

    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        content = dataclasses.asdict(content)
    write_text(path, json.dumps(content, indent=1, default=os.fspath) + "\n")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows of cells, the header first, as CSV text."""
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def require_writable(folder: str | Path) -> None:
    """Raise OSError if ``folder`` cannot be made or written to; called before long work for it."""
    path = Path(os.path.abspath(folder))
    while not path.exists():
        path = path.parent
    if not path.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def new_folder(beside: Path, prefix: str) -> Path:
    """Make a folder beside a path, with a unique name that begins with ``prefix``.

    Its mode and group are the default ones, unlike those of ``tempfile.mkdtemp``, which closes the
    folder to all others.  Raises OSError, which names ``beside``.
    """
    import secrets

    while True:
        folder = beside.with_name(prefix + secrets.token_hex(4))
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(beside)) from None
        return folder


def component_fault(name: str) -> str | None:
    """Why ``name`` cannot be the name of a file or folder ("has a '/' …"); None if it can."""
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


def discard_output(stream: TextIO) -> None:
    """Discard what a stream has buffered and what is written to it from now on.

    A stream that is not a file stays as it is.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # ValueError: closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


# ----------------------------------------------------------------------------------------- locks


#: errno of a file system without locks, or of one whose lock server does not answer
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold the lock file ``lock``; its folder is made if it does not exist.

    If the block raises before anything else lies in the folder, the folders made here are removed.
    Raises OSError, with the name, on a file system without locks.
    """
    lock = Path(os.path.abspath(lock))
    made: list[Path] = []
    descriptor = None
    try:
        while descriptor is None:
            made = [folder for folder in lock.parents if folder in made or not folder.exists()]
            descriptor = _wait_for(lock)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: another process uses it
            # only while we hold it: otherwise another process may have it by now
            if descriptor is not None and made and os.listdir(lock.parent) == [lock.name]:
                lock.unlink()
            for folder in made:
                folder.rmdir()
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _wait_for(lock: Path) -> int | None:
    """Take a lock; return its descriptor, or None if its file was removed while we waited."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = open_lock(lock)
    except FileNotFoundError:
        if lock.parent.exists():
            raise
        return None  # the folder was removed just after it was made
    try:
        with name_in_errors(lock):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        is_current = is_at(lock, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if is_current:
        return descriptor
    os.close(descriptor)
    return None


def is_at(path: Path, descriptor: int) -> bool:
    """Whether ``path`` still names the open file: it was not moved, removed or replaced."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False


def open_lock(path: Path) -> int:
    """Open a lock file, made if it does not exist; return its descriptor.  Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # read-write, since NFS turns an exclusive flock into a lock that needs it
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Take the kernel's lock on an open file without waiting; return whether that succeeded.

    Processes that inherit the descriptor hold it too.  Raises OSError on a file system without
    locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds the kernel's lock on a file; False if the file does not exist.

    Raises OSError if that cannot be determined.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        with name_in_errors(path):
            return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------------------------- hashes


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; the file is read in blocks.  Raises OSError."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------ JSON


SEAL = "sha256"


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of a JSON object that does not yet have its seal."""
    import hashlib
    import json

    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_sealed_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` and its SHA-256, the seal, atomically.  Raises OSError."""
    write_json(path, {**content, SEAL: content_hash(content)})


def read_sealed_json(path: Path, largest: int) -> dict[str, Any]:
    """Return the content, without the seal, of a file of at most ``largest`` bytes.

    Raises TinynetError if the file is longer, is not a JSON object, or does not match its seal;
    OSError if it cannot be read.
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
        whole = seal == content_hash(content)
    except RecursionError:
        whole = False
    if not whole:
        raise TinynetError(f"{path}: is not what was written (its SHA-256 differs)")
    return content


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises OSError if it cannot be read, TinynetError, which names it, if it is not valid JSON.
    """
    import json

    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TinynetError(f"{path}: cannot be read as JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def typed(kind: type[T], content: Any) -> T:
    """Make the dataclass ``kind``, with the dataclasses nested in it, from parsed JSON.

    Unknown keys are ignored.  Raises ValueError, which names the field, if one is missing or its
    type is not the annotated one.  Nothing is coerced, except that an integer may stand for a
    float, a list for a tuple and a string for a Path.
    """
    import msgspec  # imported here: the engine only writes files and does not need it

    try:
        return msgspec.convert(content, kind, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "").partition(" - at $")
        what = what[0].lower() + what[1:]
        raise ValueError(f"{where.lstrip('.')}: {what}" if where else what) from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
