"""Run the command line in this process and return what a shell would see."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple

from tinynet.cli.main import main


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str


def run(*arguments: object) -> Done:
    """Run a command, as in ``run("stages", "--stage", 7)``."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            return Done(int(leaving.code or 0), stdout.getvalue(), stderr.getvalue())
    raise AssertionError("main() ends by exiting")
