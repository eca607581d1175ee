"""How torch's threads wait for each other in a script that imports the engine.

This is the only setting of the process that the import changes: OMP_WAIT_POLICY becomes "passive",
unless the user has chosen a policy or torch is loaded already (its OpenMP runtime reads the
variable once).  By default the threads spin at the end of every parallel region; on a shared
machine they then take the core that the thread they wait for needs.
"""

from __future__ import annotations

import os
import sys

# how a user chooses: for any runtime, for GNU's (in PyTorch's wheels), for Intel's and LLVM's
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Set the default described above."""
    if "torch" not in sys.modules and not any(name in os.environ for name in _CHOICES):
        os.environ["OMP_WAIT_POLICY"] = "passive"
