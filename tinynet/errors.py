"""Errors that a user can act on; each class has its own exit status.

The command line prints the message of a ``TinynetError`` as one line on stderr, and nothing else:
the message says what is wrong, where, and what to do.  ``os_error_message`` does the same for an
OSError.  Any other exception that reaches the top is a defect and keeps its traceback.  The worker
imports this module: Python 3.6 syntax.
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
        """Escape control characters in ``message``, so that a quoted name cannot break the line."""
        super().__init__(str(message).translate(_CONTROL), *rest)


class UsageError(TinynetError):
    """The command was used wrongly (exit status 2)."""

    exit_status = 2


class StoppedEarly(TinynetError):
    """The run was stopped before its end, left a snapshot, and can be resumed (exit status 75)."""

    exit_status = 75


# strerror says only what is wrong; these say what to do as well
_REMEDIES = {
    errno.ENOSPC: "no space left on the device; free some and run the command again",
    errno.EEXIST: "is a file, but must be a folder; name another",
    errno.ENOTDIR: "leads through a file, not a folder; name another",
    errno.EISDIR: "is a folder, but must be a file; name a file",
    errno.EFBIG: "larger than this shell or file system allows (see 'ulimit -f')",
    errno.EDQUOT: "the disk quota is used up; free some and run the command again",
    errno.EROFS: "the file system is read-only; name another path",
    errno.EMFILE: "too many files are open; raise 'ulimit -n' and run the command again",
    errno.EAGAIN: "no more processes or threads may be started (see 'ulimit -u'); end some first",
    errno.ESTALE: "was removed or replaced on the file server; run the command again",
}
_REMEDIES.update(
    dict.fromkeys(
        (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP),
        "this file system has no locks; name a path on another",
    )
)


def os_error_message(error: OSError) -> str:
    """One line for an OSError: the file, what is wrong, and what to do about it."""
    where = "%s: " % error.filename if error.filename else ""
    said = error.strerror or str(error)
    number = error.errno or 0
    if said != os.strerror(number):  # Python's own message, as from tempfile
        return where + said
    if number == errno.ENOENT and not where:  # only os.getcwd gives no name
        return "the folder that this shell is in has been removed; change to another"
    if number == errno.EEXIST and os.path.isdir(error.filename or ""):
        return where + said
    if number in (errno.EACCES, errno.EPERM) and isinstance(error.filename, (str, bytes)):
        return where + said + _permission_advice(os.fsdecode(error.filename))
    return where + _REMEDIES.get(number, said)


def _permission_advice(path: str) -> str:
    """Who owns what denies access to ``path``, and what to do; "" if file modes do not deny it."""
    asked = os.path.abspath(path)
    nearest = asked
    while not _can_stat(nearest):  # does not exist yet, or lies in a folder we may not search
        nearest = os.path.dirname(nearest)
    for denied in (nearest, os.path.dirname(nearest)):
        found = os.stat(denied)
        if not os.access(denied, os.R_OK | os.W_OK | (os.X_OK if os.path.isdir(denied) else 0)):
            break
    else:
        return ""
    what = "it" if denied == asked else denied
    mode = stat.filemode(found.st_mode)
    if found.st_uid == os.geteuid():
        return "; %s is yours (%s): 'chmod u+rwX' opens it" % (what, mode)
    return "; %s belongs to %s (%s): ask for access, or name another path" % (
        what,
        _user_name(found.st_uid),
        mode,
    )


def _can_stat(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return path == os.path.dirname(path)  # the root always exists
    return True


def _user_name(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):  # a user of another machine, on a shared file system
        return "user %d" % number
