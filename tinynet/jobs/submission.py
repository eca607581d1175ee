"""Submits a batch script with the batch system's own command."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tinynet.errors import TinynetError


def run_submission(command: Sequence[str], directory: Path) -> str:
    """Run sbatch or qsub in ``directory`` and return its output.

    Raises TinynetError if the command does not exist here, and with its own message if it fails.
    """
    try:
        child = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise TinynetError(
            f"{command[0]} is not on this machine; submit the scripts where it is"
        ) from None
    if child.returncode != 0:
        said = " ".join((child.stderr or child.stdout).split())
        raise TinynetError(f"{command[0]}: {said or f'exit status {child.returncode}'}")
    return child.stdout
