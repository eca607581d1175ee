"""Asks an interpreter, in a child process, for its version and whether it has real Caffe.

The program that the user named is not trusted: it may be no Python, abort, or never answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

LIMIT_SECONDS = 60.0  # importing Caffe or torch from a slow network disk takes a while
_LONGEST_REASON = 300
_OLDEST = (3, 6)

# Runs in any Python from 3.6 on.  Takes the working directory off the module path, as the worker
# does: a folder named `caffe` there (a source tree) would be taken for the module.
_PROBE = """
import json, os, platform, sys
if sys.path[:1] == [""]:
    del sys.path[0]
out = {"python": platform.python_version()}
sys.stdout.flush()
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
try:
    import caffe
    out["file"] = getattr(caffe, "__file__", None)
    if hasattr(caffe, "get_solver"):
        out["caffe"] = str(getattr(caffe, "__version__", "unknown"))
    else:
        out["error"] = "its module 'caffe' is not pycaffe: it has no get_solver"
except Exception as error:
    out["error"] = " ".join(("%s: %s" % (type(error).__name__, error)).split())
try:
    import importlib.metadata as metadata
    out["placeholder"] = metadata.version("caffe")
except Exception:
    pass
try:
    import numpy
    out["numpy"] = numpy.__version__
except Exception:
    pass
answer.write("\\n" + json.dumps(out))
answer.flush()
os._exit(0)
"""

PLACEHOLDER = (
    "the package 'caffe' of the Python package index is an empty placeholder, not Caffe; "
    "uninstall it, and take 'kendryte-caffe' (Python 3.6 to 3.9)"
)


class Answer(NamedTuple):
    """The output of a child; ``fault``: why it failed, in one line, or "" if it did not."""

    stdout: str
    stderr: str
    fault: str = ""


@dataclass(frozen=True)
class Probe:
    """What an interpreter has; ``caffe``: the version of real Caffe, None if it has none."""

    python: str
    python_version: str = ""
    caffe: str | None = None
    file: str | None = None
    numpy: str | None = None
    placeholder: str | None = None
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def ask(command: list[str], **environment: str) -> Answer:
    """Run a command, without stdin, until it ends or ``LIMIT_SECONDS`` have passed.

    After that time its whole process group is killed.
    """
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **environment},
            start_new_session=True,  # a wrapper's children hold the pipes: they form one group
        )
    except OSError as error:
        return Answer("", "", error.strerror or str(error))
    except ValueError as error:  # a null character in a name
        return Answer("", "", str(error))
    try:
        out, err = child.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return Answer("", "", f"it has not answered within {LIMIT_SECONDS:g} s")
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode == 0:
        return Answer(out, err)
    status = f"exit status {child.returncode}"
    if child.returncode < 0:
        status = f"it was ended by signal {-child.returncode}"
    return Answer(out, err, last_line(err) or status)


def last_line(text: str) -> str:
    """The last line of ``text`` that is not blank, made printable and short for a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = "".join(sign if sign.isprintable() else "?" for sign in lines[-1]) if lines else ""
    return shown[:_LONGEST_REASON]


def probe_caffe(python: str) -> Probe:
    """Import ``caffe`` in a child under the interpreter ``python``, and return what it found."""
    reason = _python_fault(python)
    if reason:
        return Probe(python, error=reason)
    found = ask([python, "-c", _PROBE], GLOG_minloglevel="3")
    try:
        answer = json.loads(found.stdout.splitlines()[-1])  # start-up files may print lines before
        version = answer["python"]
    except (ValueError, TypeError, LookupError):
        reason = found.fault or last_line(found.stderr) or "it does not answer"
        return Probe(python, error=reason)
    reason = answer.get("error", "")[:_LONGEST_REASON]
    if answer.get("placeholder") and "caffe" not in answer:
        reason = PLACEHOLDER
    has_numpy = answer.get("numpy") is not None
    if not reason and not has_numpy:
        reason = "it has no numpy, which workers need"
    others = _foreign_folders(version)
    if reason and others:
        reason += f"; PYTHONPATH shows it packages of another Python ({others[0]}): unset it"
    return Probe(
        python,
        python_version=version,
        caffe=answer.get("caffe") if has_numpy else None,
        file=answer.get("file"),
        numpy=answer.get("numpy"),
        placeholder=answer.get("placeholder"),
        error=reason,
    )


def _foreign_folders(version: str) -> list[str]:
    """The folders in PYTHONPATH of other Python versions than ``version`` (such as "3.9.1")."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    found = {folder: re.search(r"/python(3\.\d+)(?:/|$)", folder) for folder in folders}
    return [f for f, match in found.items() if match and not version.startswith(match[1] + ".")]


def _python_fault(program: str) -> str:
    """Why a program is not a Python that can run workers; "" if it is.

    Checked before the program is given code to run, since a shell would run that too.
    """
    found = ask([program, "--version"])
    match = re.search(r"^Python (\d+)\.(\d+)\S*", found.stdout + "\n" + found.stderr, re.MULTILINE)
    if match is None:
        said = found.fault or last_line("\n".join(found.stdout.splitlines()[:1]) or found.stderr)
        return f"it is not a Python interpreter ({said or 'it does not say what it is'})"
    if (int(match[1]), int(match[2])) < _OLDEST:
        return f"it is {match[0]}; workers need 3.6 or newer"
    return ""
