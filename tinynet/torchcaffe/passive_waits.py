"""How torch's threads wait for each other in a script that imports the engine.

The one thing that the import sets in the process around it: OMP_WAIT_POLICY becomes "passive",
unless the user has chosen, or torch is loaded already, whose OpenMP runtime looks but once.  By
default its threads spin at the end of every parallel region; on a machine that others use too, they
then spin on the core that the one they wait for should have.
"""

from __future__ import annotations

import os
import sys

# for all runtimes, GNU's (of PyTorch's wheels), Intel's and LLVM's
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Set the default described above."""
    if "torch" not in sys.modules and not any(name in os.environ for name in _CHOICES):
        os.environ["OMP_WAIT_POLICY"] = "passive"
