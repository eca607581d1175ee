"""Busy processes beside what is measured, as on a shared machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tinynet.engine.environment import THREAD_COUNTS

# One thread of matrix products, at our own priority, until it is killed or its parent has ended.
_PROGRAM = """
import os
import numpy as np
parent = os.getppid()
a = np.random.RandomState(0).rand(400, 400).astype(np.float32)
a @ a
print(flush=True)
while os.getppid() == parent:
    a @ a
"""


@contextlib.contextmanager
def competitors(count: int) -> Iterator[list[int]]:
    """Run ``count`` processes that compute without a pause during the block; yield their pids."""
    environment = {**os.environ, **dict.fromkeys(THREAD_COUNTS, "1")}
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            command = [sys.executable, "-c", _PROGRAM]
            pipe = subprocess.PIPE
            children.append(subprocess.Popen(command, env=environment, stdout=pipe))
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it has begun
        yield [child.pid for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
