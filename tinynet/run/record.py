"""``run.json``: what a run is, what it ran on, and how each of its sessions ended.

A run is one training from one seed; a session is the part of it that one start of the worker did.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import socket
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tinynet import __version__, files
from tinynet.errors import TinynetError

RUNNING = "running"
FINISHED = "finished"
STOPPED = "stopped"
FAILED = "failed"
DIVERGED = "diverged"

_PACKAGES = ("numpy", "protobuf", "lmdb", "torch")


@dataclass
class Run:
    """The content of ``run.json``."""

    state: str = RUNNING
    message: str = ""  # why it is not running or finished
    iteration: int = 0  # of the newest snapshot or, while it runs, of the session's start
    max_iter: int = 0
    seed: int = 1
    effective_batch: int = 0  # images per update, of all solvers
    solvers: int = 1  # how many train together, each with the prototxt's batch
    engine: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    max_norm: float | None = None  # of each unit's incoming weights, after every update
    precision: str = "float32"  # the engine's arithmetic: float32, tf32 or bf16
    threads: int | None = None  # of each solver; None: not recorded
    versions: dict[str, str] = field(default_factory=dict)
    source: str = ""  # the solver.prototxt that the run was made from
    overrides: dict[str, str] = field(default_factory=dict)  # solver fields from the command line
    weights: list[str] = field(default_factory=list)  # .caffemodel files that it started from
    keep: int | None = None  # snapshots to keep, besides the best; None: the default
    hashes: dict[str, str] = field(default_factory=dict)  # SHA-256 of every prototxt as run
    data: list[dict[str, Any]] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    folder: str = ""  # where the command ran: relative paths start there
    host: str = ""
    pid: int = 0
    last_loss: float | None = None  # of a finished run's last iteration, displayed or not
    last_good: int | None = None  # after a divergence: the last iteration seen with a sound loss
    sessions: list[dict[str, Any]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the record atomically."""
        files.write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    def begin_session(self, iteration: int, solver: str) -> None:
        """Record that a session starts now, in this process, at ``iteration`` of a solver file."""
        self.state, self.message, self.iteration = RUNNING, "", iteration
        self.host, self.pid = socket.gethostname(), os.getpid()
        self.folder = os.getcwd()
        self.versions = versions()
        session: dict[str, Any] = {"started": now(), "from": iteration, "solver": solver}
        session.update(engine=self.engine["name"], engine_version=self.engine["version"])
        self.sessions.append({**session, "device": self.device, "precision": self.precision})

    def end_session(self, state: str, iteration: int, message: str = "") -> None:
        """Record how the session ended, and at which iteration the run stands."""
        self.state, self.message, self.iteration = state, message, iteration
        self.sessions[-1].update(ended=now(), to=iteration, state=state, message=message)


def load(path: Path) -> Run | None:
    """Read ``run.json``; None if it does not exist.  Raises TinynetError if it is damaged.

    Keys that this version does not know are ignored.
    """
    try:
        content = files.read_json(path)
    except FileNotFoundError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("state"), str):
        raise TinynetError(f"{path}: is not the record of a run; take another --name")
    try:
        return files.typed(Run, content)
    except ValueError as error:
        raise TinynetError(f"{path}: is damaged ({error}); take another --name") from None


def now() -> str:
    """This moment, UTC, ISO 8601 to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of the packages of this process; the worker reports those of its engine."""
    found = {"tinynet": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
