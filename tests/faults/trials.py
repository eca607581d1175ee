"""Real training processes, the faults done to them, and the count of the outcomes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests import children
from tests.run import small_runs

RUN = Path("runs/fault/seed1")
_WRITING = ".snapshot_iter_"  # how the torch engine's temporary names begin


class Tally:
    """Counts by kind of fault: tried and survived."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()

    def add(self, kind: str, survived: bool = True) -> None:
        self.tried[kind] += 1
        self.survived[kind] += survived

    def lines(self) -> list[str]:
        width = max(map(len, self.tried), default=0)
        return [
            f"{kind:{width}}  tried {count:3}  survived {self.survived[kind]:3}"
            for kind, count in self.tried.items()
        ]


class Job:
    """``tinynet train`` of one run in ``folder``, started and ended many times."""

    def __init__(self, folder: Path, solver: Path, engine: str = "torch") -> None:
        self.folder = folder
        self.run = folder / RUN
        self._arguments = [str(solver), "--runs", str(folder / "runs"), "--name", "seed1"]
        self._arguments += ["--engine", engine]
        self.child: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self.child = children.start(
            small_runs.command(*self._arguments, *arguments),
            self.folder,
            environment=small_runs.environment(),
        )
        return self.child

    def finish(self, *arguments: str) -> tuple[int, str]:
        """Run to the end; return (exit status, stderr)."""
        child = self.start(*arguments)
        _, errors = child.communicate()
        return child.returncode, errors

    def end(self) -> str:
        """Wait for the running child to end; return its stderr."""
        assert self.child is not None
        _, errors = self.child.communicate()
        return errors

    # --- observations from outside

    def worker(self) -> int | None:
        """The process id of the worker, or None if there is none (yet)."""
        assert self.child is not None
        path = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        with contextlib.suppress(OSError):
            for word in path.read_text().split():
                with contextlib.suppress(OSError):
                    if b"worker" in Path(f"/proc/{word}/cmdline").read_bytes():
                        return int(word)
        return None

    def sealed(self) -> int:
        """The iteration of the newest sealed snapshot, 0 for none."""
        names = [path.stem for path in (self.run / "snapshots").glob("*.sha256")]
        return max((int(name.rpartition("_")[2]) for name in names), default=0)

    def record(self) -> dict[str, Any]:
        return json.loads((self.run / "run.json").read_text())

    def history(self) -> list[dict[str, Any]]:
        """The history without values that depend on the clock."""
        lines = (self.run / "history.jsonl").read_text().splitlines()
        clock = ("seconds", "images_per_second")
        return [
            {key: value for key, value in json.loads(line).items() if key not in clock}
            for line in lines
        ]

    def weights(self, iteration: int) -> str:
        """The hash of a snapshot's .caffemodel."""
        path = self.run / f"snapshots/snapshot_iter_{iteration}.caffemodel"
        return hashlib.sha256(path.read_bytes()).hexdigest()

    # --- faults

    def wait_until(self, condition: Any) -> bool:
        """Wait for ``condition()``; return False if the child ends first."""
        assert self.child is not None
        while self.child.poll() is None:
            if condition():
                return True
            time.sleep(0.002)
        return False

    def is_writing(self) -> bool:
        """Whether a snapshot is being written."""
        with contextlib.suppress(OSError):
            return any(n.startswith(_WRITING) for n in os.listdir(self.run / "snapshots"))
        return False

    def kill(self, whom: str) -> None:
        """SIGKILL the parent or the worker, and wait until both are gone."""
        assert self.child is not None
        worker = self.worker()
        if whom == "parent" or worker is None:
            self.child.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.child.communicate()
        while worker is not None and _is_alive(
            worker
        ):  # the kernel ends the worker with its parent
            time.sleep(0.002)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
