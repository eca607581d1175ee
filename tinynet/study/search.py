"""Searches solver values from coarse to fine, as the paper tuned its nets, on tuning images.

    OUT/data/            the data with tuning images held out, unless DATA is split already
    OUT/study.journal    Optuna's journal: any number of workers, on any machine, share it
    OUT/prototxt, runs/  of each trial, trial0000 …
    OUT/locks/           each trial's lock, held by its worker; that of a dead one is free again
    OUT/overrides.json   the best values, which ``tinynet generate --overrides`` takes, with the
                         search that found them and the images they were chosen on
    OUT/trials.csv       every trial: its values, what became of it, its tuning accuracy

A level of trials is spread over a box around the best trial so far (``search_space``).  The first
level's box is what was asked for; each next box has sides a quarter as long.  Once four trials are
complete, a trial is given up whose best accuracy so far is below the median of theirs at the same
epoch (Optuna's MedianPruner), after a fifth of its length at the earliest.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.dataset.selection_set import selection_set
from tinynet.engine import signals
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides, batch_size
from tinynet.experiment.stages import Stage
from tinynet.jobs import children
from tinynet.jobs.commands import last_line
from tinynet.run import record as runs
from tinynet.run.log import read_history
from tinynet.run.paths import RunPaths
from tinynet.study import optuna_study as study
from tinynet.study.paths import SearchPaths
from tinynet.study.search_space import DEFAULT_RANGES, Range, draw
from tinynet.study.trials import Trial, winner, write_trials

Say = Callable[[str], None]

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class SearchRequest:
    """What ``tinynet search`` was asked for.  ``trials``: in each level."""

    stage: Stage
    data: Path  # a split folder: its val chooses
    out: Path
    ranges: Sequence[Range] = DEFAULT_RANGES
    trials: int = 10
    levels: int = 2
    seed: int = 1
    overrides: Overrides = field(default_factory=Overrides)
    train: Sequence[str] = ()  # options of tinynet train
    command: str = ""

    @property
    def total(self) -> int:
        return self.trials * self.levels

    @property
    def paths(self) -> SearchPaths:
        return SearchPaths(self.out)


def run(request: SearchRequest, say: Say) -> list[Trial]:
    """Work on the study until its trials are done or other workers have those that are left.

    Raises StoppedEarly after a signal (the same command resumes it), UsageError if the study was
    begun with other settings, TinynetError if a training failed for another reason than its
    values, or no trial could be completed.
    """
    worker = _Worker(request, say)
    try:
        with signals.caught(signals.STOP, worker.signals.append):
            worker.work()
    finally:  # a search that was stopped also writes what it has found so far
        made = trials(request)
        best = winner(made)
        write_trials(request.paths.trials, made, [searched.name for searched in request.ranges])
        if best is not None:
            write_overrides(request, best, made)
    running = sum(trial.state == "running" for trial in made)
    if running:
        which = "1 trial is" if running == 1 else f"{running} trials are"
        say(
            f"{which} running elsewhere or interrupted; the same command resumes what was "
            "interrupted"
        )
    if best is None:
        if running:
            return made
        raise TinynetError(f"{request.out}: no trial was completed; the logs are in its runs/")
    return made


def write_overrides(request: SearchRequest, best: Trial, made: Sequence[Trial]) -> None:
    """Write the winner for ``tinynet generate --overrides``, with the facts needed to judge it."""
    states = [trial.state for trial in made]
    content = {
        "solver": best.values,
        "stage": request.stage.name,
        "trial": best.number,
        "tuning_accuracy": best.score,
        "search": {
            "ranges": {r.name: [r.low, r.high] for r in request.ranges},
            "trials": {state: states.count(state) for state in dict.fromkeys(states)},
            "trials_a_level": request.trials,
            "levels": request.levels,
            "epochs": request.overrides.epochs or request.stage.hyperparameters.epochs,
            "batch_size": batch_size(request.overrides),
            "seed": request.seed,
            "command": request.command,
        },
        "selection_set": asdict(selection_set(request.data)),
    }
    files.write_json(request.paths.overrides, content)


def trials(request: SearchRequest) -> list[Trial]:
    """Every trial of the search's study so far, by number."""
    return _trials(_study(request))


def _trials(known: Any) -> list[Trial]:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    found = []
    for trial in known.get_trials(deepcopy=False):
        reported = trial.intermediate_values
        last = reported[max(reported)] if reported else None
        score = trial.value if trial.state.name == "COMPLETE" else last
        state = states.get(trial.state.name, "running")
        if state == "failed" and trial.user_attrs.get(runs.DIVERGED):
            state = runs.DIVERGED
        found.append(Trial(trial.number, state, dict(trial.params), score))
    return found


def _study(request: SearchRequest) -> Any:
    request.out.mkdir(parents=True, exist_ok=True)
    return study.join(request.paths.study, request.stage.name, _trusted(request))


def _trusted(request: SearchRequest) -> int:
    """The first epoch whose accuracy may end a trial: a fifth of its length, at least the first."""
    epochs = request.overrides.epochs or request.stage.hyperparameters.epochs
    return max(1, epochs // 5)


class _Worker:
    def __init__(self, request: SearchRequest, say: Say) -> None:
        self._request = request
        self._say = say
        self.signals: list[int] = []
        self._said = ""  # the last line of the last training
        self._study = _study(request)
        self._described = dataset.describe(request.data)
        self._require_same_study()

    def _require_same_study(self) -> None:
        request = self._request
        wanted = {
            "ranges": {r.name: [r.low, r.high] for r in request.ranges},
            "epochs": request.overrides.epochs,
            "batch_size": request.overrides.batch_size,
            "seed": request.seed,
            "train_images": self._described.train_images,
            "mean_values": list(self._described.mean_values),
        }
        if request.levels > 1:  # a single level can be made longer
            wanted["trials"] = request.trials
        wanted = json.loads(json.dumps(wanted))  # in the types that the journal gives back
        known = self._study.user_attrs.get("settings", {})
        other = [key for key, value in wanted.items() if known.get(key, value) != value]
        if other:
            raise UsageError(
                f"{request.out}: holds a search with other settings ({', '.join(other)}); give the "
                "same, or name another --out"
            )
        if wanted.keys() - known.keys():
            self._study.set_user_attr("settings", {**known, **wanted})

    def work(self) -> None:
        while True:
            self._stop_if_told()
            taken = self._take()
            if taken is None:
                return
            trial, lock = taken
            try:
                self._do(trial, lock)
            finally:
                os.close(lock)

    def _take(self) -> tuple[Any, int] | None:
        """Take a trial that nobody works on, one that was left or a new one; None: all are done."""
        optuna = study.optuna()
        next_lock = self._request.paths.next_lock
        next_lock.parent.mkdir(parents=True, exist_ok=True)
        # one worker at a time: the box of a new trial depends on those before it
        with files.locked(next_lock):
            known = self._study.get_trials(deepcopy=False)
            for frozen in known:
                if frozen.state == optuna.trial.TrialState.RUNNING:
                    lock = self._lock(frozen.number)
                    if lock is not None:
                        self._say(f"trial {frozen.number}: was left by another worker; resuming")
                        return optuna.trial.Trial(self._study, frozen._trial_id), lock
            if len(known) >= self._request.total:
                return None
            lock = self._lock(len(known))
            assert lock is not None  # nobody knew this number
            self._study.add_trial(self._drawn(len(known)))
            frozen = self._study.get_trials(deepcopy=False)[len(known)]
            return optuna.trial.Trial(self._study, frozen._trial_id), lock

    def _lock(self, number: int) -> int | None:
        """The descriptor of a trial's lock, None if another worker, or its training, has it."""
        descriptor = files.open_lock(self._request.paths.of_trial(number).lock)
        if files.try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def _drawn(self, number: int) -> Any:
        """A new trial, with its values drawn, in the state of being worked on."""
        optuna = study.optuna()
        request = self._request
        level, place = divmod(number, request.trials)
        best = winner(_trials(self._study)) if level else None
        box = list(request.ranges)
        if best is not None:
            box = [side.around(best.values[side.name], level) for side in box]
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=draw(box, place, (request.seed, level)),
            distributions={
                side.name: optuna.distributions.FloatDistribution(side.low, side.high, log=True)
                for side in box
            },
        )

    # ------------------------------------------------------------------ one trial

    def _do(self, trial: Any, lock: int) -> None:
        optuna = study.optuna()
        state = optuna.trial.TrialState
        paths = self._generate(trial)
        values = ", ".join(f"{name} {value:.3g}" for name, value in trial.params.items())
        self._say(f"trial {trial.number}: {values}")
        status, pruned = self._train(trial, paths, lock)
        last = self._report(trial, paths)
        if pruned:
            self._study.tell(trial.number, state=state.PRUNED)
            self._say(f"trial {trial.number}: given up at {100 * (last or 0):.2f} %")
        elif status == 0 and last is not None:
            self._study.tell(trial.number, last)
            self._say(f"trial {trial.number}: {100 * last:.2f} %")
        elif status == StoppedEarly.exit_status:
            raise StoppedEarly(f"{self._request.out}: stopped; the same command resumes it")
        else:
            record = runs.load(paths.run_json)
            if status and (record is None or record.state != runs.DIVERGED):
                # not the fault of its values: the next trials would fail in the same way
                raise TinynetError(
                    f"{self._request.out}: trial {trial.number} could not be trained "
                    f"({self._said or f'status {status}'}); once that is mended, the same command "
                    "resumes it"
                )
            why = record.message if record and record.message else "it has no tuning accuracy"
            diverged = record is not None and record.state == runs.DIVERGED
            trial.set_user_attr(runs.DIVERGED, diverged)
            self._study.tell(trial.number, state=state.FAIL)
            word = runs.DIVERGED if diverged else "failed"
            self._say(f"trial {trial.number}: {word}: {why}")

    def _generate(self, trial: Any) -> RunPaths:
        request = self._request
        mine = request.paths.of_trial(trial.number)
        solver = {**request.overrides.solver, **trial.params}
        overrides = replace(request.overrides, solver=solver)
        nets = [request.stage]
        generate.write(generate.generate(mine.prototxt, self._described, nets, overrides))
        return RunPaths.of(request.paths.runs, request.stage.name, mine.name)

    def _train(self, trial: Any, paths: RunPaths, lock: int) -> tuple[int, bool]:
        """Train, watching the tuning accuracy; return its exit status, and whether it was given up.

        The training inherits the trial's lock, so that after its worker is killed, no other takes
        the trial before the training has stopped.
        """
        request = self._request
        mine = request.paths.of_trial(trial.number)
        solver = StagePaths(mine.prototxt, request.stage.name).solver
        command = [
            *("train", os.fspath(solver)),
            *("--runs", os.fspath(request.paths.runs), "--name", paths.root.name),
            *("--seed", str(request.seed), "--quiet", *request.stage.train_options, *request.train),
        ]
        mine.log.parent.mkdir(parents=True, exist_ok=True)
        with mine.log.open("ab") as out:
            start = out.tell()
            child = children.start(command, out, descriptors=(lock,))
            given_up = False
            try:
                while child.poll() is None and not self.signals and not given_up:
                    time.sleep(_LOOK_SECONDS)
                    self._report(trial, paths)
                    given_up = trial.should_prune() and child.poll() is None
            finally:  # SIGTERM stops it with a snapshot
                if child.poll() is None:
                    child.send_signal(signal.SIGTERM)
                    child.wait()
        self._said = last_line(mine.log, start)
        self._stop_if_told()
        return child.returncode, given_up

    def _stop_if_told(self) -> None:
        if self.signals:
            name = signal.Signals(self.signals[0]).name
            raise StoppedEarly(
                f"{self._request.out}: stopped by {name}; the same command resumes it"
            )

    def _report(self, trial: Any, paths: RunPaths) -> float | None:
        """Report to the study each tuning accuracy in the history; return the last one."""
        if not paths.history.exists():
            return None
        tested = [r for r in read_history(paths.history) if r.get("val_accuracy") is not None]
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for step, record in enumerate(tested):
            if step not in known:
                trial.report(record["val_accuracy"], step)
        return float(tested[-1]["val_accuracy"]) if tested else None
