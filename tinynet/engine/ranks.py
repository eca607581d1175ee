"""The workers of one training by several solvers, as if they were one: rank 0's, which speaks.

The others only compute.  A thread for each reads what it says, so that no pipe fills up, and sees
when it ends.  Whichever rank fails, all end, and the reason given is the one that came first: a
rank that fails because it has lost another says so, and is not it.
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

# how long the others may take to notice by themselves that one has ended, before they are ended
GRACE_SECONDS = 10.0
_WELL = (0, StoppedEarly.exit_status)
_LOST_ANOTHER = "Ended"  # the error's class, in a worker's event


class RankProcesses:
    """A worker for each of ``arguments``, of rank 0 first; with one alone, just that worker.

    Used as a ``WorkerProcess`` is, and as a context, whose end ends them all.
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
        """``logs``: files to which the other ranks' lines are added, one for each.

        ``how``: what ``start_worker`` takes besides.  Raises OSError.
        """
        self._take_event = take_event
        self._logs = logs
        self._over = threading.Event()  # rank 0 has ended
        self._ended_by_us: set[int] = set()
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
            thread = threading.Thread(target=self._look_after, args=(rank,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def follow(self) -> int:
        """Take what rank 0 says until it has ended, and the others have; its exit status."""
        status = self._first.follow()
        self._over.set()
        # by its own fault it has ended all; else another's, which is about to be seen
        lost = status in _WELL or self._first.error_kind == _LOST_ANOTHER
        latest = time.monotonic() + (GRACE_SECONDS if lost else 0.0)
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))
        for rank, worker in enumerate(self._all):
            self._end(rank, worker)
        for thread in self._threads:
            thread.join()
        return status

    def fault(self) -> str:
        """One line on why they failed, once all have ended."""
        if len(self._all) == 1:
            return self._first.fault()
        failed = [
            rank
            for rank, worker in enumerate(self._all)
            if rank not in self._ended_by_us and worker.status not in _WELL
        ]
        first = min(failed, key=lambda rank: self._all[rank].error_kind == _LOST_ANOTHER, default=0)
        where = f" (log {self._logs[first - 1]})" if first else ""
        reason = self._all[first].fault()
        return f"rank {first} of {len(self._all)} has failed, and with it all{where}: {reason}"

    def say(self, word: str) -> None:
        """Send rank 0 a control word, which the ranks then follow together."""
        self._first.say(word)

    def kill(self) -> None:
        """End all at once; ``follow`` then takes what rank 0 has said until now."""
        for worker in self._all:
            worker.kill()

    def drain_log(self) -> None:
        """Take rank 0's log as far as it has been written by now."""
        self._first.drain_log()

    def close(self) -> None:
        """End those that have not ended."""
        self._over.set()
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
        if event["event"] == "uid":  # where the ranks meet
            for other in self._all[1:]:
                other.say(f"uid {event['uid']}")
        self._take_event(event)

    def _look_after(self, rank: int) -> None:
        status = self._all[rank].follow()
        if status not in _WELL and not self._over.wait(GRACE_SECONDS):
            self._end(0, self._first)

    def _end(self, rank: int, worker: WorkerProcess) -> None:
        if worker.status is None:
            self._ended_by_us.add(rank)
            worker.kill()


class RankLog:
    """Adds what another rank says to a file; one that cannot be written to ends no training."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, lines: list[str]) -> None:
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines if line))
