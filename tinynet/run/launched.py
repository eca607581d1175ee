"""A training whose processes a launcher has started: a ``tinynet train`` for each solver.

That of rank 0 has the run directory; the others only work, on what rank 0's worker tells theirs.
Each session is a meeting of its own.  Where rank 0 has nothing to train (the run is finished, or it
cannot begin), it meets them to say so, and they end as it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from tinynet.engine import discovery, signals
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.engine.ranks import RankLog
from tinynet.errors import StoppedEarly, TinynetError
from tinynet.launcher import Place
from tinynet.run import record as runs
from tinynet.run import solvers
from tinynet.run.request import TrainingRequest


class OtherRanks:
    """Rank 0's view of the others, as a context: whom its end leaves waiting is told to end.

    Without a ``place`` there are none, and nothing here does anything.
    """

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self._session = 1
        self._wait = place is not None

    def arguments(self, more: bool) -> list[str]:
        """What rank 0's worker is started with, to meet the others; ``more``: then once more."""
        return ["--launched", str(self._session), *(["--more"] if more else [])]

    @contextlib.contextmanager
    def working(self, more: bool) -> Iterator[None]:
        """Within the block rank 0's worker works with the others; ``more``: then they wait."""
        self._wait = False
        yield
        self._session += 1
        self._wait = more and self.place is not None

    def __enter__(self) -> OtherRanks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._wait or self.place is None:
            return
        status = 0 if error is None else error.exit_status if isinstance(error, TinynetError) else 1
        words = [*_part(self.place), *self.arguments(more=False), "--nothing", str(status)]
        with (
            contextlib.suppress(TinynetError, OSError),  # what went wrong before is what counts
            start_worker(discovery.find_torch(), words, with_input=True) as worker,
        ):
            worker.finish()


def work(request: TrainingRequest, place: Place) -> None:
    """Compute for rank 0 until it has no more to do.

    Raises StoppedEarly where all were stopped, and TinynetError where this rank or another failed,
    or, with rank 0's exit status, where that has nothing to train because of an error.
    """
    engine = discovery.find(request.engine, request.caffe_python)
    paths, me = request.paths, f"rank {place.rank} of {place.solvers}"
    stored = runs.load(paths.run_json)
    chosen = solvers.choose(request, None, engine, place)
    threads = (stored.threads if stored else None) or chosen.threads
    stopper, session, more = _Stopper(), 0, True
    with signals.taken(signals.STOP, stopper.ask):
        while more:
            session += 1
            words = [*_part(place), "--launched", str(session)]
            words += [f"--gpu={gpu}" for gpu in chosen.gpus]
            with start_worker(
                engine,
                words,
                threads=threads,
                with_input=True,
                take_log=RankLog(paths.rank_log(place.rank)),
            ) as worker:
                stopper.pass_on_to(worker)
                told = worker.wait_for("told") or {}
                status = worker.follow()
                if status == StoppedEarly.exit_status:
                    raise StoppedEarly(f"{paths.root}: {me} has stopped with the others")
                if status != 0 and told.get("nothing") is None:
                    raise TinynetError(worker.fault())
            if status != 0:
                failure = TinynetError(f"{me}: rank 0 cannot begin, and says why")
                failure.exit_status = status
                raise failure
            more = bool(told.get("more"))


class _Stopper:
    """Tells a worker, now or once there is one, what a signal has asked for."""

    def __init__(self) -> None:
        self._asked = False
        self._worker: WorkerProcess | None = None

    def ask(self, number: int) -> None:
        self._asked = True
        if self._worker is not None:
            self._worker.say("stop")

    def pass_on_to(self, worker: WorkerProcess) -> None:
        self._worker = worker
        if self._asked:
            worker.say("stop")


def _part(place: Place) -> list[str]:
    return ["train", "--solvers", str(place.solvers), "--rank", str(place.rank)]
