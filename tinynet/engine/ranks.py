"""Runs the workers of one training by several solvers as if they were one.

Only rank 0's worker reports; the others just compute.  A thread for each of these reads its output,
so that no pipe fills up, and notices when it ends.  If any rank fails, all are ended, and the
reason given is that of the rank that failed first: a rank that fails because it lost another says
so.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinynet.engine.discovery import Engine
from tinynet.engine.process import TakeEvent, WorkerProcess, start_worker
from tinynet.errors import StoppedEarly

# how long the other ranks may take to notice that one has ended, before they are killed
GRACE_SECONDS = 10.0
_SUCCESS = (0, StoppedEarly.exit_status)
_LOST_ANOTHER = "Ended"  # class of the error with which a rank fails because it lost another


class RankProcesses:
    """A worker for each of ``arguments``, rank 0's first; there may be just one.

    Used like a ``WorkerProcess``; leaving the context ends them all.
    """

    def __init__(
        self,
        engine: Engine,
        arguments: Sequence[Sequence[str]],
        logs: Sequence[Path] = (),
        *,
        take_event: TakeEvent,
        **how: Any,
    ) -> None:
        """Start the workers.

        ``logs``: a file for each of the other ranks, to which its lines are appended.  ``how``:
        further arguments of ``start_worker``.  Raises OSError.
        """
        self._take_event = take_event
        self._logs = logs
        self._rank_0_ended = threading.Event()
        self._killed: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._all: list[WorkerProcess] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._first = start_worker(engine, arguments[0], take_event=self._event, **how)
            self._all.append(self._first)
            how.pop("take_log", None)
            for words, log in zip(arguments[1:], logs):
                other = start_worker(engine, words, take_log=RankLog(log), **how)
                self._all.append(other)
            undo.pop_all()
        for rank in range(1, len(self._all)):
            thread = threading.Thread(target=self._watch, args=(rank,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def follow(self) -> int:
        """Follow all workers to their end; return rank 0's exit status."""
        status = self._first.follow()
        self._rank_0_ended.set()
        # the others end by themselves, unless rank 0 has failed by its own fault
        waits = status in _SUCCESS or self._first.error_kind == _LOST_ANOTHER
        latest = time.monotonic() + (GRACE_SECONDS if waits else 0.0)
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))
        for rank, worker in enumerate(self._all):
            self._kill(rank, worker)
        for thread in self._threads:
            thread.join()
        return status

    def fault(self) -> str:
        """Explain in one line why they failed, once all have ended."""
        if len(self._all) == 1:
            return self._first.fault()
        failed = [
            rank
            for rank, worker in enumerate(self._all)
            if rank not in self._killed and worker.status not in _SUCCESS
        ]
        first = min(failed, key=lambda rank: self._all[rank].error_kind == _LOST_ANOTHER, default=0)
        where = f" (log {self._logs[first - 1]})" if first else ""
        reason = self._all[first].fault()
        return f"rank {first} of {len(self._all)} has failed, and with it all{where}: {reason}"

    def say(self, word: str) -> None:
        """Send rank 0 a control word, which all ranks then follow together."""
        self._first.say(word)

    def kill(self) -> None:
        """Kill all workers; ``follow`` still reads what rank 0 has written until now."""
        for worker in self._all:
            worker.kill()

    def drain_log(self) -> None:
        """Read all that rank 0 has written to its log until now."""
        self._first.drain_log()

    def close(self) -> None:
        """Kill the workers that have not ended."""
        self._rank_0_ended.set()
        for worker in self._all:
            worker.kill()
        for thread in self._threads:
            thread.join()
        for worker in self._all:
            worker.close()

    def __enter__(self) -> RankProcesses:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "uid":  # by which the other ranks connect
            for other in self._all[1:]:
                other.say(f"uid {event['uid']}")
        self._take_event(event)

    def _watch(self, rank: int) -> None:
        status = self._all[rank].follow()
        if status not in _SUCCESS and not self._rank_0_ended.wait(GRACE_SECONDS):
            self._kill(0, self._first)

    def _kill(self, rank: int, worker: WorkerProcess) -> None:
        if worker.status is None:
            self._killed.add(rank)
            worker.kill()


class RankLog:
    """Appends the log lines of another rank to a file; errors in writing it are ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, lines: list[str]) -> None:
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines if line))
