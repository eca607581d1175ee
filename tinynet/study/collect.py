"""Copies what is worth keeping of a finished run into the results folder: small, portable files."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError
from tinynet.experiment.stages import STAGES
from tinynet.files import new_folder, write_json
from tinynet.predict.evaluate import EvaluationRequest
from tinynet.predict.first_layer import first_layer, write_first_layer
from tinynet.predict.guesses import guesses, write_guesses
from tinynet.predict.inputs import newest_weights
from tinynet.predict.probabilities import (
    CENTER,
    OVERSAMPLE,
    Probabilities,
    read_probabilities,
    write_probabilities,
)
from tinynet.run import record as runs
from tinynet.run.log import read_history
from tinynet.run.paths import RunPaths
from tinynet.study.recipes import differences, read_recipe
from tinynet.study.results import (
    DIVERGED,
    FINISHED,
    SCORES,
    TAKEN_AGAIN,
    ResultsPaths,
    RunRow,
    Score,
)
from tinynet.study.settings import Settings

# The fields of a run's record that hold on any machine; the rest are paths, hosts and processes.
_PORTABLE = (
    *("state", "iteration", "max_iter", "seed", "effective_batch", "device", "precision"),
    "versions",
)
_PORTABLE_SESSION = ("started", "ended", "from", "to", "state", "engine", "engine_version")


def wanted(settings: Settings) -> Iterator[tuple[str, str]]:
    """The (split, crop) whose scores the table needs of each run."""
    yield "train", CENTER
    for split in (settings.reported, settings.tuning):
        if split is not None:
            yield split.name, CENTER
            yield split.name, OVERSAMPLE


def evaluations(
    run: RunPaths, settings: Settings, data: Path | None = None
) -> list[EvaluationRequest]:
    """The evaluations that the table needs of a run; ``data``: where their images lie."""
    return [
        EvaluationRequest(
            run.root,
            split,
            crop == OVERSAMPLE,
            data=data,
            sample=settings.train_sample if split == "train" else 0,
        )
        for split, crop in wanted(settings)
    ]


def is_kept(split: str, crop: str, settings: Settings) -> bool:
    """Whether more than the scores is kept: for splits whose images are compared or averaged."""
    return split == settings.reported.name or (split != "train" and crop == OVERSAMPLE)


def is_averaged(name: str, crop: str) -> bool:
    """Whether a run's probabilities enter the ensemble, and so are kept whole."""
    folder = os.path.dirname(name)
    return crop == OVERSAMPLE and folder in (STAGES[-1].name, STAGES[-2].name)


def missing(results: ResultsPaths, name: str, settings: Settings) -> list[Path]:
    """The files that a run (STAGE/NAME) has lost in the results.

    [] if it is whole, or not there at all.
    """
    kept = results.run(name)
    if not kept.root.exists():
        return []
    files = [kept.run_json, kept.history, results.scores(name)]
    lost = [path for path in files if not path.exists()]
    if _has_diverged(results, name):
        return lost
    for split, crop in wanted(settings):
        if is_kept(split, crop, settings):
            whole = kept.probabilities(split, crop == OVERSAMPLE)
            # earlier releases kept the probabilities of every run
            if not whole.exists() and not (
                kept.guesses(split, crop == OVERSAMPLE).exists() and not is_averaged(name, crop)
            ):
                lost.append(whole)
    return lost


def drop_incomplete(run: RunPaths, name: str, results: ResultsPaths, settings: Settings) -> None:
    """Remove from the results a run that has lost files there, if it can be evaluated again.

    It can where the run directory has the last snapshot.
    """
    if missing(results, name, settings):
        record = runs.load(run.run_json)
        if record is not None and record.state == runs.FINISHED:
            weights, _ = newest_weights(run, record.iteration)
            if weights is not None:
                shutil.rmtree(results.run(name).root)


def collect(run: RunPaths, name: str, results: ResultsPaths, settings: Settings) -> bool:
    """Copy a run (STAGE/NAME) if it is finished and evaluated; return whether the results have it.

    A run that diverged is copied too, without scores, until a finished one takes its place.  What
    is there already stays if it is whole.  Raises TinynetError if it has lost files and the run
    cannot replace it, and where the run was trained by another recipe, or on other data, than the
    results.
    """
    lost = missing(results, name, settings)
    diverged = _has_diverged(results, name)
    if results.run(name).root.exists() and not lost and not diverged:
        if not results.run(name).first_layer.exists():  # earlier releases did not keep it
            _keep_first_layer(run, results.run(name), results.row(name, 0).iterations)
        return True
    record = runs.load(run.run_json)
    if record is not None and record.state == runs.DIVERGED:
        _require_recipe(run, name, record, settings)
        _publish(run, name, record, {}, results, settings)
        return False
    if record is None or not is_complete(run, record, settings):
        if lost and not diverged:
            raise TinynetError(f"{lost[0]}: is missing; {TAKEN_AGAIN}")
        return False
    _require_recipe(run, name, record, settings)
    evaluated = {
        (evaluation.split, evaluation.crop): _read_evaluation(evaluation, record, settings)
        for evaluation in evaluations(run, settings)
    }
    _publish(run, name, record, evaluated, results, settings)
    return True


def is_complete(run: RunPaths, record: runs.Run | None, settings: Settings) -> bool:
    """Whether a run is finished and has every evaluation that the table needs."""
    if record is None or record.state != runs.FINISHED:
        return False
    return all(evaluation.out.exists() for evaluation in evaluations(run, settings))


def _has_diverged(results: ResultsPaths, name: str) -> bool:
    return results.row(name, 0).state == DIVERGED


def _publish(
    run: RunPaths,
    name: str,
    record: runs.Run,
    evaluated: dict[tuple[str, str], Probabilities],
    results: ResultsPaths,
    settings: Settings,
) -> None:
    """Put a run's files into the results, in place of those that are there."""
    read_history(run.history)  # raises where it is damaged, before it is copied
    target = results.root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):  # of a process that was killed
        shutil.rmtree(left)
    folder = new_folder(target, f".{target.name}.")
    try:
        _write(folder, run, name, record, evaluated, settings)
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)  # the caller holds the lock of the results
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(
    folder: Path,
    run: RunPaths,
    name: str,
    record: runs.Run,
    evaluated: dict[tuple[str, str], Probabilities],
    settings: Settings,
) -> None:
    kept = RunPaths(folder)
    shutil.copyfile(run.history, kept.history)
    write_json(kept.run_json, portable(record))
    scores = {}
    for (split, crop), p in evaluated.items():
        scores[f"{split}_{crop}"] = Score.of(p)
        if is_kept(split, crop, settings):
            write_guesses(kept.guesses(split, crop == OVERSAMPLE), guesses(p))
            if is_averaged(name, crop):
                write_probabilities(kept.probabilities(split, crop == OVERSAMPLE), p, half=True)
    state = DIVERGED if record.state == runs.DIVERGED else FINISHED
    if state == FINISHED:
        _keep_first_layer(run, kept, record.iteration)
    row = RunRow(name, record.seed, state, record.iteration, scores)
    write_json(folder / SCORES, row)


def _keep_first_layer(run: RunPaths, kept: RunPaths, iteration: int) -> None:
    """Keep the filters of figure 3, if the run has its last weights and begins with filters."""
    try:
        weights, _ = newest_weights(run, iteration)
        layer = first_layer(run, weights) if weights is not None else None
    except (TinynetError, OSError):
        return  # another net, or its files are gone: the report says that it has none
    if layer is not None:
        write_first_layer(kept.first_layer, layer)


def portable(record: runs.Run) -> dict[str, Any]:
    """A run's record without what belongs to one machine."""
    content = asdict(record)
    kept: dict[str, Any] = {key: content[key] for key in _PORTABLE}
    if record.state == runs.DIVERGED:
        kept["message"] = record.message  # at which iteration, and how
    kept["engine"] = {key: record.engine.get(key, "") for key in ("name", "version")}
    kept["hashes"] = record.hashes
    kept["data"] = [
        {"name": Path(entry["path"]).name, **{k: v for k, v in entry.items() if k != "path"}}
        for entry in record.data
    ]
    kept["sessions"] = [
        {key: session[key] for key in _PORTABLE_SESSION if key in session}
        for session in record.sessions
    ]
    return kept


def _require_recipe(run: RunPaths, name: str, record: runs.Run, settings: Settings) -> None:
    folder = name if name in settings.recipes else os.path.dirname(name)
    other = differences(
        read_recipe(run.train_val, run.solver, record.max_norm), settings.recipes[folder]
    )
    digests = {settings.data["digests"][split] for split in ("train", "val")}
    if record.precision != settings.precision:
        other.append(f"precision {record.precision}, not {settings.precision}")
    if {entry.get("digest") for entry in record.data} - digests:
        other.append("other training or validation data")
    if other:
        raise TinynetError(
            f"{run.root}: was not trained as the results are ({'; '.join(other[:3])}); remove it, "
            "or name another --out"
        )


def _read_evaluation(
    request: EvaluationRequest, record: runs.Run, settings: Settings
) -> Probabilities:
    """Read a file of probabilities, and require that it is of the run's last weights."""
    probabilities = read_probabilities(request.out, f"delete it and run '{_command(request)}'")
    if probabilities.iteration != record.iteration:
        raise TinynetError(
            f"{request.out}: is of iteration {probabilities.iteration}, the run ended at "
            f"{record.iteration}; run '{_command(request)}'"
        )
    _require_images(probabilities, request, settings)
    return probabilities


def _require_images(
    probabilities: Probabilities, request: EvaluationRequest, settings: Settings
) -> None:
    """Raise TinynetError if a file is of other images: ``evaluate --data`` writes the same."""
    count = request.sample or settings.data.get("counts", {}).get(request.split)
    if count is not None and (not probabilities.labelled or len(probabilities.labels) != count):
        what = "labelled images" if probabilities.labelled else "images without labels"
        raise TinynetError(
            f"{request.out}: is of {len(probabilities.labels):,} {what}, not of the {count:,} of "
            f"these results; delete it and run '{_command(request)}'"
        )


def _command(request: EvaluationRequest) -> str:
    return shlex.join(["tinynet", *request.arguments])
