"""Caffe's three tools that bring old files up to date, by their names and with their messages.

Sources: tools/upgrade_net_proto_text.cpp, upgrade_net_proto_binary.cpp and
upgrade_solver_proto_text.cpp.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from tinynet.caffeformat import binary, schema, text, upgrade
from tinynet.cli import gflags, shared_options
from tinynet.cli.messages import say
from tinynet.errors import TinynetError

_WRONG_USE, _UNREADABLE = 1, 2  # Caffe's own statuses


_FORMS: dict[str, Any] = {"text": text, "binary": binary}


def _tool(message: str, form: str, example: str, help_text: str) -> click.Command:
    """The tool that upgrades files which hold ``message`` in a form, "text" or "binary"."""
    kind = "solver" if message == "SolverParameter" else "net"
    name = f"upgrade_{kind}_proto_{form}"

    def run_tool(files: tuple[str, ...]) -> None:
        sys.exit(run(name, message, form, files))

    return click.Command(
        name,
        params=[click.Argument(["files"], nargs=-1, metavar="IN OUT")],
        callback=run_tool,
        help=help_text + _STATUSES,
        epilog=shared_options.example(f"tinynet caffe {name} {example}"),
    )


_STATUSES = """

\b
Exit status, Caffe's own where nothing else is said:
  0   OUT is written
  1   other than two files are named; or OUT is written without parameters
      that have no place in their layer, which the log names; or IN breaks a
      rule, or a file cannot be opened (Caffe aborts: 134)
  2   IN is no such file
"""
upgrade_net_proto_text = _tool(
    "NetParameter",
    "text",
    "old.prototxt new.prototxt",
    "Write the net of the prototxt IN, in any of Caffe's formats, as Caffe's last release does.",
)
upgrade_net_proto_binary = _tool(
    "NetParameter",
    "binary",
    "old.caffemodel new.caffemodel",
    "Write the weights IN, in any of Caffe's formats, as Caffe's last release does.",
)
upgrade_solver_proto_text = _tool(
    "SolverParameter",
    "text",
    "old_solver.prototxt solver.prototxt",
    "Write the solver IN with its type in words, where it has the older solver_type.",
)


def run(name: str, kind: str, form: str, files: Sequence[str]) -> int:
    """Upgrade ``files``, IN and OUT, as the tool ``name`` does; return its exit status.

    Raises TinynetError (status 1) where Caffe aborts, and OSError if a file cannot be opened.
    """
    if len(files) != 2:
        gflags.log("error", f"Usage: {name} IN OUT; got {len(files)} files")
        return _WRONG_USE
    old, new = files
    try:
        message = _FORMS[form].read(old, schema.MESSAGES[kind])
    except TinynetError as error:
        gflags.log("error", f"Failed to parse input {form} file as {kind}: {old}")
        say(f"tinynet: {error}")
        return _UNREADABLE
    complete = _upgrade(message, old)
    _FORMS[form].write(new, message)
    gflags.log("info", f"Wrote upgraded {kind} {form} proto to {new}")
    return 0 if complete else 1


def _upgrade(message: schema.SolverParameter | schema.NetParameter, source: str) -> bool:
    """Upgrade the message in place; whether all of it had a place."""
    complete = True
    if isinstance(message, schema.SolverParameter):
        needed = upgrade.solver_needs_upgrade(message)
        upgrade.upgrade_solver(message, source, gflags.log)
    else:
        needed = upgrade.needs_upgrade(message)
        complete = upgrade.upgrade(message, source, gflags.log)
    if not needed:
        gflags.log("error", f"File already in latest proto format: {source}")
    if not complete:
        gflags.log("error", "Encountered error(s) while upgrading prototxt; see details above.")
    return complete
