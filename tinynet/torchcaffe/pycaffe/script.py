"""Runs a pycaffe script as ``python SCRIPT ARGS`` does, where ``import caffe`` is this engine."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from tinynet.torchcaffe import script_advice
from tinynet.torchcaffe.pycaffe.as_caffe import install_as_caffe


def run(script: str, arguments: Sequence[str]) -> int:
    """Run the file ``script`` as ``__main__``; return its exit status, 1 for an exception.

    An uncaught exception is printed as Python prints it, with one more line if the cause is known:
    Python 2, or a name that numpy no longer has.  For a file in Python 2's syntax only that line is
    printed.  SystemExit and KeyboardInterrupt are not caught.
    """
    try:
        source = Path(script).read_bytes()
    except OSError as error:
        _say(f"{script}: {error.strerror}: name a Python script")
        return 2
    if source.lstrip().startswith(b"{") and b'"nbformat"' in source:
        _say(f"{script}: is a notebook; make it a script: jupyter nbconvert --to script {script}")
        return 2
    install_as_caffe()
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    try:
        # dont_inherit: this file's postponed annotations must not apply to the script
        exec(compile(source, script, "exec", dont_inherit=True), main.__dict__)
    except SyntaxError as error:
        advice = script_advice.on_syntax(error)
        if advice is None:
            _print_traceback(error)
        else:
            _say(advice)
        return 1
    except Exception as error:
        _print_traceback(error)
        advice = script_advice.on_exception(error)
        if advice is not None:
            _say(advice)
        return 1
    return 0


def _print_traceback(error: Exception) -> None:
    """Print the traceback from the script's first frame on, by the current ``sys.excepthook``."""
    sys.stdout.flush()
    trace = error.__traceback__
    own = trace.tb_next if trace is not None else None
    sys.excepthook(type(error), error.with_traceback(own), own)


def _say(line: str) -> None:
    print(f"tinynet: {line}", file=sys.stderr)


def main() -> int:
    """``python -m tinynet.torchcaffe SCRIPT [ARGS]``."""
    # -m put the working directory there, where python SCRIPT has only the script's folder
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    if len(sys.argv) < 2:
        print("usage: python -m tinynet.torchcaffe SCRIPT [ARGS]", file=sys.stderr)
        return 2
    return run(sys.argv[1], sys.argv[2:])
