"""A training for which a launcher has started one ``tinynet train`` per solver.

Rank 0 owns the run directory; the workers of the others only compute, as rank 0's worker tells
them.  The workers connect anew for each session.  If rank 0 has nothing to train (the run is
finished, or cannot begin), it starts a worker only to tell the others so, and they end as it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from tinynet.engine import discovery, signals
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.engine.ranks import RankLog
from tinynet.errors import StoppedEarly, TinynetError
from tinynet.launcher import LaunchedProcess
from tinynet.run import record as runs
from tinynet.run import solvers
from tinynet.run.request import TrainingRequest


class OtherRanks:
    """Rank 0's view of the other ranks; leaving the context ends those that still wait for it.

    ``process`` is None without a launcher: there are no others, and nothing is done.
    """

    def __init__(self, process: LaunchedProcess | None) -> None:
        self.process = process
        self._session = 1
        self._wait = process is not None

    def arguments(self, more: bool) -> list[str]:
        """Arguments with which rank 0's worker connects; ``more``: another session will follow."""
        return ["--launched", str(self._session), *(["--more"] if more else [])]

    @contextlib.contextmanager
    def working(self, more: bool) -> Iterator[None]:
        """Run a session with the others in the block; ``more``: they wait for another after it."""
        self._wait = False
        yield
        self._session += 1
        self._wait = more and self.process is not None

    def __enter__(self) -> OtherRanks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._wait or self.process is None:
            return
        status = 0 if error is None else error.exit_status if isinstance(error, TinynetError) else 1
        words = [*_part(self.process), *self.arguments(more=False), "--nothing", str(status)]
        with (
            contextlib.suppress(TinynetError, OSError),  # must not hide the error that ends rank 0
            start_worker(discovery.find_torch(), words, with_input=True) as worker,
        ):
            worker.finish()


def work(request: TrainingRequest, process: LaunchedProcess) -> None:
    """Compute for rank 0 until it has nothing more to do.

    Raises StoppedEarly if all were stopped, TinynetError if this rank or another failed, and
    TinynetError with rank 0's exit status if an error keeps rank 0 from training.
    """
    engine = discovery.find(request.engine, request.caffe_python)
    paths, me = request.paths, f"rank {process.rank} of {process.solvers}"
    stored = runs.load(paths.run_json)
    chosen = solvers.choose(request, None, engine, process)
    threads = (stored.threads if stored else None) or chosen.threads
    stopper, session, more = _Stopper(), 0, True
    with signals.caught(signals.STOP, stopper.ask):
        while more:
            session += 1
            words = [*_part(process), "--launched", str(session)]
            words += [f"--gpu={gpu}" for gpu in chosen.gpus]
            with start_worker(
                engine,
                words,
                threads=threads,
                with_input=True,
                take_log=RankLog(paths.rank_log(process.rank)),
            ) as worker:
                stopper.pass_on_to(worker)
                told = worker.wait_for("told") or {}
                status = worker.follow()
                if status == StoppedEarly.exit_status:
                    raise StoppedEarly(f"{paths.root}: {me} has stopped with the others")
                if status != 0 and told.get("nothing") is None:
                    raise TinynetError(worker.fault())
            if status != 0:
                failure = TinynetError(f"{me}: rank 0 could not start; its message says why")
                failure.exit_status = status
                raise failure
            more = bool(told.get("more"))


class _Stopper:
    """Passes a stop signal on to the worker, at once or as soon as there is one."""

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


def _part(process: LaunchedProcess) -> list[str]:
    return ["train", "--solvers", str(process.solvers), "--rank", str(process.rank)]
