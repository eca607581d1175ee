"""Several workers that compute at once and act as one contestant."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker


class Workers:
    """A contestant of a bench (``rounds.Child``) whose round ends with the last worker."""

    def __init__(self, engine: Engine, arguments: Sequence[Sequence[str]], threads: int) -> None:
        """``arguments``: those of each worker; ``threads``: how many each has."""
        with contextlib.ExitStack() as started:
            self._workers = [
                started.enter_context(start_worker(engine, own, threads=threads, with_input=True))
                for own in arguments
            ]
            self._started = started.pop_all()

    def wait_for(self, kind: str) -> dict[str, Any] | None:
        """Wait for all; the sum of items, the slowest's seconds; None if one has ended."""
        events = [worker.wait_for(kind) for worker in self._workers]
        found = [event for event in events if event is not None]
        if len(found) < len(events):
            return None
        return {
            **found[0],
            "items": sum(event.get("items", 0) for event in found),
            "seconds": max(event.get("seconds", 0.0) for event in found),
        }

    def send(self, data: bytes) -> bool:
        """Ask all of them for a round."""
        sent = [worker.send(data) for worker in self._workers]  # to all, even if one has ended
        return all(sent)

    def fault(self) -> str:
        """Why the first worker that failed did so."""
        self.close()
        failed = [worker for worker in self._workers if worker.status] or self._workers
        return failed[0].fault()

    def close(self) -> None:
        self._started.close()
