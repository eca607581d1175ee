"""Errors that a user can act on, each carrying the exit status of its kind.

The command line prints the message of a ``TinynetError`` as its one line on stderr, and nothing
else: the message says what is wrong, where, and what to do.  Anything else that reaches the top is
a defect and keeps its traceback.  What the system refuses (OSError) is said by ``one_line``.  This
module is imported by the worker: Python 3.6 syntax.
"""

import errno
import os
import stat

_CONTROL = {code: "\\x%02x" % code for code in [*range(32), 127]}
_CONTROL.update({ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"})


class TinynetError(Exception):
    """The work failed (exit status 1)."""

    exit_status = 1

    def __init__(self, message: str = "", *rest: object) -> None:
        """``message`` stays one line whatever names it quotes from a file: \\n for a line's end."""
        super().__init__(str(message).translate(_CONTROL), *rest)


class UsageError(TinynetError):
    """The command was used wrongly (exit status 2)."""

    exit_status = 2


class StoppedEarly(TinynetError):
    """The run was stopped before its end, left a snapshot, and can be resumed (exit status 75)."""

    exit_status = 75


# what to do, where the system says only what is wrong
_REMEDIES = {
    errno.ENOSPC: "no space left on the device; free some and run the command again",
    errno.EEXIST: "is a file, where a folder has to be; name another",
    errno.ENOTDIR: "leads through a file, where a folder has to be; name another",
    errno.EISDIR: "is a folder, where a file has to be; name a file",
    errno.EFBIG: "larger than this shell or file system allows (see 'ulimit -f')",
    errno.EDQUOT: "the disk quota is used up; free some and run the command again",
    errno.EROFS: "the file system is read-only; name another place",
    errno.EMFILE: "too many files are open; raise 'ulimit -n' and run the command again",
    errno.EAGAIN: "no more processes or threads may be started (see 'ulimit -u'); end some first",
    errno.ESTALE: "was removed or replaced on the file server; run the command again",
}
_REMEDIES.update(
    dict.fromkeys(
        (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP),
        "this file system gives no locks; name a place on another",
    )
)


def one_line(error: OSError) -> str:
    """What the system refuses, on which file, and what to do about it."""
    where = "%s: " % error.filename if error.filename else ""
    said = error.strerror or str(error)
    number = error.errno or 0
    if said != os.strerror(number):  # Python's own words, of tempfile, say
        return where + said
    if number == errno.ENOENT and not where:  # os.getcwd alone gives no name
        return "the folder that this shell is in has been removed; change to another"
    if number == errno.EEXIST and os.path.isdir(error.filename or ""):
        return where + said
    if number in (errno.EACCES, errno.EPERM) and isinstance(error.filename, (str, bytes)):
        return where + said + _whose(os.fsdecode(error.filename))
    return where + _REMEDIES.get(number, said)


def _whose(path: str) -> str:
    """What keeps us from ``path``, whose it is, and what to do; "" where no mode forbids it."""
    asked = os.path.abspath(path)
    nearest = asked
    while not _can_be_seen(nearest):  # not there yet, or in a folder that we may not look into
        nearest = os.path.dirname(nearest)
    for place in (nearest, os.path.dirname(nearest)):
        found = os.stat(place)
        if not os.access(place, os.R_OK | os.W_OK | (os.X_OK if os.path.isdir(place) else 0)):
            break
    else:
        return ""
    what = "it" if place == asked else place
    mode = stat.filemode(found.st_mode)
    if found.st_uid == os.geteuid():
        return "; %s is yours (%s): 'chmod u+rwX' opens it" % (what, mode)
    return "; %s belongs to %s (%s): ask for access, or name another place" % (
        what,
        _user(found.st_uid),
        mode,
    )


def _can_be_seen(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return path == os.path.dirname(path)  # the root, which is there
    return True


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):  # of another machine, on a shared file system
        return "user %d" % number
