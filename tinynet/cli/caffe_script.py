"""``tinynet caffe run``: a pycaffe script, run by the torch engine."""

from __future__ import annotations

import os

import click

from tinynet.cli import shared_options
from tinynet.errors import UsageError


@click.command(
    # what follows the script is the script's, --help too
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=shared_options.example("tinynet caffe run classify.py --gpu image.jpg scores.npy"),
)
@click.argument("script", metavar="SCRIPT.py")
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def run(script: str, arguments: tuple[str, ...]) -> None:
    """Run a pycaffe script as `python SCRIPT.py` does; `import caffe` is the torch engine.

    The script takes over this process: its streams, signals and exit status are the script's own.

    A script in the syntax of Python 2 is refused with one line that says where, and how to convert
    it.  The same line ends the traceback where a name of Python 2 or of an older numpy is missing.
    """
    from tinynet.engine import discovery, process

    if not os.path.isfile(script):
        raise UsageError(f"{script}: no such file: name a Python script")
    process.become_script(discovery.find_torch(), script, arguments)
