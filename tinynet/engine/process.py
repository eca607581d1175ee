"""The parent's side of a worker: starts it, talks to it, follows it to its end, explains failures.

A ``WorkerProcess`` holds a worker of any kind.  The protocol is that of ``worker/channel.py``:
events on stdout, one JSON object per line; the log on stderr.  The parent reads both whenever it
waits, even while it sends, so that neither side can block the other.
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

from tinynet import control_groups
from tinynet.engine import autogroup, environment, signals
from tinynet.engine.discovery import Engine
from tinynet.engine.failures import explain_failure
from tinynet.engine.worker.channel import STARTER
from tinynet.errors import TinynetError

WORKER = Path(__file__).parent / "worker"

_TAIL = 200  # last lines of the log that are kept to explain a failure
_LONGEST_LINE = 1 << 20  # bytes; longer lines are split, so that no worker can fill our memory
_POLL_SECONDS = 1.0  # how often to check whether a silent worker has ended

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
    """Start a worker; ``arguments`` are its command (``train``, ``predict``) and its options.

    ``--engine MODULE`` is inserted after the command.  The worker takes ``tinynet`` from this
    package, and everything else from its own interpreter.  ``threads``: how many it computes with;
    None: as many as this process may use.  ``variables``: environment variables besides those of
    every worker (``environment.of_worker``).  ``how``: further arguments of ``WorkerProcess``.
    """
    command, *rest = (os.fspath(argument) for argument in arguments)
    own = {**environment.of_worker(engine.name, threads), **(variables or {})}
    words = [engine.python, str(WORKER), command, "--engine", engine.module, *rest]
    return WorkerProcess(engine, words, variables=own, **how)


def become_script(engine: Engine, script: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a user's script, run by the engine; never returns.

    The script inherits this process's streams, signals, id and environment, to which
    ``environment.of_script`` is added.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = [engine.python, str(WORKER), "script", "--engine", engine.module]
    variables = {**os.environ, **environment.of_script(engine.name)}
    os.execve(engine.python, [*command, "--", script, *arguments], variables)


class WorkerProcess:
    """A process that speaks the worker's protocol.  Leaving the context kills the process.

    ``status``: the exit status, negative for a signal; None while it runs.  ``error``: the message
    of its ``error`` event, and ``error_kind`` the error's class; None if it sent none.
    """

    def __init__(
        self,
        engine: Engine,
        command: Sequence[str],
        *,
        take_event: TakeEvent | None = None,
        take_log: TakeLog | None = None,
        with_input: bool = False,
        inherit_stderr: bool = False,
        own_session: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``command``; ``engine`` is named in the message if it fails.

        ``take_event`` gets every event; ``take_log`` gets the log's lines as they come, decoded and
        without line ends.  ``with_input``: its stdin is a pipe (``send``), otherwise empty.
        ``inherit_stderr``: it logs to our stderr, and no line of it is kept.  ``own_session``: no
        signal from a terminal reaches it.  ``variables``: environment variables besides ours.
        Raises OSError.
        """
        self._engine = engine
        self._take_event = take_event
        self._take_log = take_log
        self._kills_before = control_groups.killed_for_memory()
        self.error: str | None = None
        self.error_kind: str | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        self._last_events: dict[str, dict[str, Any]] = {}  # the last event of each kind
        self._partial_lines: dict[int, bytes] = {}  # the unfinished line of each stream
        self._selector = selectors.DefaultSelector()
        with contextlib.ExitStack() as undo:
            with signals.held():  # which raises KeyboardInterrupt at its end, if one came meanwhile
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=None if inherit_stderr else subprocess.PIPE,
                    bufsize=0,
                    env={**os.environ, **(variables or {}), STARTER: str(os.getpid())},
                    start_new_session=own_session,
                )
                undo.callback(self.close)
            if own_session:
                autogroup.follow_nice(self._process.pid)
            assert self._process.stdout is not None
            self._listen(self._process.stdout, self._take_events)
            if self._process.stderr is not None:
                self._listen(self._process.stderr, self._take_lines)
            if self._process.stdin is not None:
                os.set_blocking(self._process.stdin.fileno(), False)
            undo.pop_all()

    # ------------------------------------------------------------------ its output

    def follow(self) -> int:
        """Read its output until it has ended; return its exit status."""
        while self._read_next():
            pass
        return self._process.wait()

    def wait_for(self, kind: str) -> dict[str, Any] | None:
        """Read its output up to an event of ``kind``; return that event, or None if it ended."""
        while kind not in self._last_events and self._read_next():
            pass
        if kind not in self._last_events:
            self._process.wait()
        return self._last_events.pop(kind, None)

    def drain_log(self) -> None:
        """Read all that it has written to its log until now."""
        pipe = self._process.stderr
        with selectors.DefaultSelector() as selector:
            if pipe is None or pipe not in [k.fileobj for k in self._selector.get_map().values()]:
                return
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(0) and self._read(pipe.fileno(), self._take_lines):
                pass

    def _listen(self, pipe: IO[bytes], take: Callable[[list[bytes]], None]) -> None:
        self._selector.register(pipe, selectors.EVENT_READ, take)

    def _read_next(self) -> bool:
        """Wait for output and take it; return False once no more can come."""
        if not self._selector.get_map():
            return False
        # polled before the select: it may write its last output and end between the two
        has_ended = self._process.poll() is not None
        ready = self._selector.select(_POLL_SECONDS)
        for key, _ in ready:
            if key.data is not None and not self._read(key.fd, key.data):
                self._selector.unregister(key.fileobj)
        if not ready and has_ended:
            return False  # only a child of its own still holds its pipes
        return bool(self._selector.get_map())

    def _read(self, descriptor: int, take: Callable[[list[bytes]], None]) -> bool:
        """Read once, and pass on the lines that are complete; return False at the stream's end."""
        data = os.read(descriptor, 1 << 16)
        # the end of the stream completes an unfinished line
        *lines, rest = (self._partial_lines.get(descriptor, b"") + (data or b"\n")).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        self._partial_lines[descriptor] = rest
        if lines:
            take(lines)
        return bool(data)

    def _take_events(self, lines: list[bytes]) -> None:
        # other lines come from a wrapper script, for example, or from a library that writes to the
        # descriptor itself; they belong to the log
        strays = [line for line in lines if line.strip() and _event(line) is None]
        if strays:
            self._take_lines(strays)
        for event in filter(None, map(_event, lines)):
            if event["event"] == "error":
                self.error = str(event.get("message"))
                self.error_kind = event.get("kind")
            self._last_events[event["event"]] = event
            if self._take_event is not None:
                self._take_event(event)

    def _take_lines(self, raw: list[bytes]) -> None:
        lines = [line.decode("utf-8", "replace").rstrip() for line in raw]
        self._tail.extend(lines)
        if self._take_log is not None and lines:
            self._take_log(lines)

    # ------------------------------------------------------------------ its input and signals

    def send(self, data: bytes | bytearray) -> bool:
        """Write to its stdin while reading its output; return False if it no longer reads."""
        pipe = self._process.stdin
        assert pipe is not None
        left = memoryview(data)
        self._selector.register(pipe, selectors.EVENT_WRITE, None)
        try:
            while left:
                try:
                    left = left[os.write(pipe.fileno(), left) :]
                except BlockingIOError:
                    self._read_next()
                except OSError:
                    return False
        finally:
            self._selector.unregister(pipe)
        return True

    def say(self, word: str) -> None:
        """Send a control word without waiting; safe to call when a signal arrives."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it may just have ended
            os.write(self._process.stdin.fileno(), word.encode("ascii") + b"\n")

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it; ``follow`` still reads what it has written until now."""
        self._process.kill()

    # ------------------------------------------------------------------ its end

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        return self._process.returncode

    def fault(self) -> str:
        """Explain in one line why it failed, once it has ended."""
        status = self._process.wait()
        return explain_failure(self._engine, status, self._tail, self.error, self._kills_before)

    def finish(self) -> None:
        """Follow it to its end.  Raises TinynetError, with the reason, if it failed."""
        if self.follow() != 0:
            raise TinynetError(self.fault())

    def close(self) -> None:
        """Kill it unless it has ended, and close its pipes; may be called more than once."""
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
    """The event in a line; None if the line is not an event."""
    if not line.startswith(b"{"):
        return None
    try:
        event = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
