"""A worker as its parent sees it: started, spoken with, followed to its end, and explained.

Every worker is held by one ``WorkerProcess``, whatever it does.  What a worker says follows
``worker/channel.py``: events on stdout, JSON objects, one a line; its log on stderr.  Both are read
whenever the parent waits, also while it sends, so that neither side can block the other.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from tinynet.engine import autogroup, control_groups, environment
from tinynet.engine.discovery import Engine
from tinynet.engine.failures import explain_failure
from tinynet.errors import TinynetError

WORKER = Path(__file__).parent / "worker"

_TAIL = 200  # lines of the log that are kept to explain a failure
_LONGEST_LINE = 1 << 20  # bytes; what is longer is cut, so that no worker can fill our memory
_LOOK_SECONDS = 1.0  # between two looks whether a silent worker has ended

TakeEvent = Callable[[dict[str, Any]], None]
TakeLog = Callable[[list[str]], None]


def start_worker(
    engine: Engine,
    arguments: Sequence[str | os.PathLike[str]],
    *,
    threads: int | None = None,
    variables: Mapping[str, str] | None = None,
    **how: Any,
) -> WorkerProcess:
    """Start a worker: ``arguments`` are its command (``train``, ``predict``) and that one's own.

    ``--engine MODULE`` is put in after the command.  The worker takes ``tinynet`` from this very
    package, and everything else from its own interpreter.  ``threads``: how many it computes with;
    None: as many as this process may use.  ``variables``: of its environment, besides those that
    every worker has (``environment.of_worker``).  ``how``: what ``WorkerProcess`` takes.
    """
    command, *rest = (os.fspath(argument) for argument in arguments)
    own = {**environment.of_worker(engine.name, threads), **(variables or {})}
    words = [engine.python, str(WORKER), command, "--engine", engine.module, *rest]
    return WorkerProcess(engine, words, variables=own, **how)


def become_script(engine: Engine, script: str, arguments: Sequence[str]) -> NoReturn:
    """Let a user's script, run by the engine, take over this process: it never returns.

    The script has this process's streams, signals and number, its exit status, and its environment
    with what ``environment.of_script`` adds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = [engine.python, str(WORKER), "script", "--engine", engine.module]
    variables = {**os.environ, **environment.of_script(engine.name)}
    os.execve(engine.python, [*command, "--", script, *arguments], variables)


class WorkerProcess:
    """A process that speaks the worker's protocol.  A context: its end ends the process.

    ``status``: the exit status, negative for a signal; None while it runs.  ``error``: the message
    of its ``error`` event, and ``error_kind`` the error's class, None where it sent none.
    """

    def __init__(
        self,
        engine: Engine,
        command: Sequence[str],
        *,
        take_event: TakeEvent | None = None,
        take_log: TakeLog | None = None,
        with_input: bool = False,
        log_is_ours: bool = False,
        own_session: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``command``; ``engine`` is named where it fails.

        ``take_event`` gets every event, ``take_log`` the lines of the log as they come (not ended,
        decoded).  ``with_input``: its stdin is a pipe (``send``), else empty.  ``log_is_ours``: its
        stderr is ours, and no line of it is kept.  ``own_session``: no signal of a terminal reaches
        it.  ``variables``: of its environment, besides ours.  Raises OSError.
        """
        self._engine = engine
        self._take_event = take_event
        self._take_log = take_log
        self._kills_before = control_groups.killed_for_memory()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if log_is_ours else subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(variables or {})},
            start_new_session=own_session,
        )
        if own_session:
            autogroup.follow_nice(self._process.pid)
        self.error: str | None = None
        self.error_kind: str | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        self._awaited: dict[str, dict[str, Any]] = {}  # the last event of each kind
        self._unended: dict[int, bytes] = {}  # of each stream, the line that has not ended yet
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._listen(self._process.stdout, self._events)
        if self._process.stderr is not None:
            self._listen(self._process.stderr, self._log)
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    # ------------------------------------------------------------------ what it says

    def follow(self) -> int:
        """Take what it says until it has ended; return its exit status."""
        while self._turn():
            pass
        return self._process.wait()

    def wait_for(self, kind: str) -> dict[str, Any] | None:
        """Take what it says until an event ``kind``; that event, or None where it ended before."""
        while kind not in self._awaited and self._turn():
            pass
        if kind not in self._awaited:
            self._process.wait()
        return self._awaited.pop(kind, None)

    def drain_log(self) -> None:
        """Take the log as far as it has been written by now."""
        pipe = self._process.stderr
        with selectors.DefaultSelector() as selector:
            if pipe is None or pipe not in [k.fileobj for k in self._selector.get_map().values()]:
                return
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(0) and self._read(pipe.fileno(), self._log):
                pass

    def _listen(self, pipe: IO[bytes], take: Callable[[list[bytes]], None]) -> None:
        self._selector.register(pipe, selectors.EVENT_READ, take)

    def _turn(self) -> bool:
        """Wait for something that it says, and take it; False where no more can come."""
        if not self._selector.get_map():
            return False
        # before, not after: it may say its last words and end between the two
        has_ended = self._process.poll() is not None
        ready = self._selector.select(_LOOK_SECONDS)
        for key, _ in ready:
            if key.data is not None and not self._read(key.fd, key.data):
                self._selector.unregister(key.fileobj)
        if not ready and has_ended:
            return False  # a child of its own still holds its pipes, which nobody will write to
        return bool(self._selector.get_map())

    def _read(self, descriptor: int, take: Callable[[list[bytes]], None]) -> bool:
        """Hand on the whole lines that have come; False at the stream's end."""
        data = os.read(descriptor, 1 << 16)
        # the end ends a line that was cut off
        *lines, rest = (self._unended.get(descriptor, b"") + (data or b"\n")).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        self._unended[descriptor] = rest
        if lines:
            take(lines)
        return bool(data)

    def _events(self, lines: list[bytes]) -> None:
        # what is no event is not the worker's: of a wrapper script, say, or of a library that
        # writes to the descriptor itself
        strays = [line for line in lines if line.strip() and _event(line) is None]
        if strays:
            self._log(strays)
        for event in filter(None, map(_event, lines)):
            if event["event"] == "error":
                self.error = str(event.get("message"))
                self.error_kind = event.get("kind")
            self._awaited[event["event"]] = event
            if self._take_event is not None:
                self._take_event(event)

    def _log(self, raw: list[bytes]) -> None:
        lines = [line.decode("utf-8", "replace").rstrip() for line in raw]
        self._tail.extend(lines)
        if self._take_log is not None and lines:
            self._take_log(lines)

    # ------------------------------------------------------------------ what it is told

    def send(self, data: bytes | bytearray) -> bool:
        """Write to its stdin, taking meanwhile what it says; False where it reads no more."""
        pipe = self._process.stdin
        assert pipe is not None
        left = memoryview(data)
        self._selector.register(pipe, selectors.EVENT_WRITE, None)
        try:
            while left:
                try:
                    left = left[os.write(pipe.fileno(), left) :]
                except BlockingIOError:
                    self._turn()
                except OSError:
                    return False
        finally:
            self._selector.unregister(pipe)
        return True

    def say(self, word: str) -> None:
        """Send a control word without waiting; also from a signal's action."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it may just have ended
            os.write(self._process.stdin.fileno(), word.encode("ascii") + b"\n")

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def send_signal(self, number: int) -> None:
        """Pass a signal on to it, where it has not ended yet."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once; ``follow`` then takes what it has said until now."""
        self._process.kill()

    # ------------------------------------------------------------------ its end

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        return self._process.returncode

    def fault(self) -> str:
        """One line on why it failed, once it has ended."""
        status = self._process.wait()
        return explain_failure(self._engine, status, self._tail, self.error, self._kills_before)

    def finish(self) -> None:
        """Follow it to its end.  Raises TinynetError, with the reason, where it failed."""
        if self.follow() != 0:
            raise TinynetError(self.fault())

    def close(self) -> None:
        """End it where it has not ended, and close its pipes; to be called more than once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _event(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None where it is none."""
    if not line.startswith(b"{"):
        return None
    try:
        event = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
