"""Finds what is in the folders named to a report: runs, and the results of whole experiments.

A run's folder has a run.json.  Dissections (dissection.json), cross-validations (folds.json) and
searches (trials.csv) have runs of their own inside, which are not found: trials and folds must not
be averaged with other runs, and a dissection's runs are in its table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinynet.dataset import old_names
from tinynet.errors import TinynetError
from tinynet.run.paths import RunPaths
from tinynet.study.cross_validation import FOLDS, StageFolds
from tinynet.study.paths import SearchPaths
from tinynet.study.results import ResultsPaths
from tinynet.study.trials import Trial, read_trials, winner

_DEPTH = 4  # levels of folders searched below one that was named
RESULTS = "results"  # the default folder of ``tinynet dissect --out OUT``, in OUT


@dataclass(frozen=True)
class Search:
    """A search; ``facts``: its overrides.json, on the winner and the images it was chosen on."""

    folder: Path
    stage_name: str
    trials: list[Trial]
    facts: dict[str, Any]

    @property
    def best(self) -> Trial | None:
        return winner(self.trials)

    @property
    def names(self) -> list[str]:
        """The solver fields that were searched."""
        return list(self.trials[0].values) if self.trials else []


@dataclass(frozen=True)
class Folds:
    """A cross-validation's results folder: each stage over the folds."""

    folder: Path
    stages: list[StageFolds]
    command: str = ""


@dataclass
class Found:
    """The folders found; with each dissection's, the folder of its run directories or None."""

    runs: list[Path] = field(default_factory=list)
    dissections: list[tuple[Path, Path | None]] = field(default_factory=list)
    folds: list[Path] = field(default_factory=list)
    searches: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.runs or self.dissections or self.folds or self.searches)

    def add(self, other: Found) -> None:
        self.runs += other.runs
        self.dissections += other.dissections
        self.folds += other.folds
        self.searches += other.searches


def look(source: Path, inside: bool = False) -> Found:
    """Find what is in ``source`` or up to four levels below it.

    ``inside``: find the runs within a dissection's results folder, instead of the dissection.
    """
    found = Found()
    if inside:
        for child in sorted(source.iterdir()):
            _look(child, _DEPTH, found)
    else:
        _look(source, _DEPTH, found)
    return found


def _look(folder: Path, depth: int, found: Found) -> None:
    below = folder / RESULTS
    if RunPaths(folder).run_json.is_file():
        found.runs.append(folder)
    elif ResultsPaths(folder).table.is_file() or (folder / FOLDS).is_file():
        if ResultsPaths(folder).table.is_file():
            beside = folder.parent / "runs"
            is_out = folder.name == RESULTS and beside.is_dir()
            found.dissections.append((folder, beside if is_out else None))
        if (folder / FOLDS).is_file():  # both are in one folder if --out was the same
            found.folds.append(folder)
    elif ResultsPaths(below).table.is_file() or (below / FOLDS).is_file():
        _look(below, depth, found)
    elif SearchPaths(folder).trials.is_file():
        found.searches.append(folder)
    elif depth and folder.is_dir() and not SearchPaths(folder).study.is_file():
        for child in sorted(folder.iterdir()):
            is_hidden = child.name.startswith(".")  # as half-written folders are
            if child.is_dir() and not child.is_symlink() and not is_hidden:
                _look(child, depth - 1, found)


def read_search(folder: Path) -> Search:
    """Read a search's files.  Raises TinynetError if one cannot be read."""
    path = SearchPaths(folder).overrides
    try:
        facts = old_names.read_json(path)
        stage_name = facts["stage"]
        if not isinstance(stage_name, str):
            raise TypeError("its stage is not a name")
    except FileNotFoundError:
        facts, stage_name = {}, folder.name  # no trial was completed
    except (KeyError, TypeError) as error:
        raise TinynetError(
            f"{path}: is not a winner as 'tinynet search' writes it ({error})"
        ) from None
    return Search(folder, stage_name, read_trials(SearchPaths(folder).trials), facts)
