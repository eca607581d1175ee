"""``experiment.json``: what a dissection was asked for, so that later sessions add to the same one.

It holds nothing of one machine: data by its digests, schedules by their values.  Seeds, stages and
variants may be added; everything else must stay, or the table would mix two experiments.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tinynet import files
from tinynet.dataset import old_names
from tinynet.dataset.manifest import Manifest
from tinynet.dataset.paths import SPLITS
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.stages import stage
from tinynet.files import component_fault
from tinynet.study.recipes import Recipe, differences

VERSION = 1


@dataclass(frozen=True)
class Split:
    """A split: the name of its LMDB, what it is for, and how many images it has."""

    name: str
    role: str
    images: int

    def __post_init__(self) -> None:
        if self.name not in SPLITS:
            raise ValueError(f"no split {self.name!r}; the splits are {', '.join(SPLITS)}")


@dataclass(frozen=True)
class Settings:
    """The content of ``experiment.json``.

    ``data``: the source's name and digest, the classes and their names, the digest of each split.
    ``reported``, ``tuning``: splits of that data; without a tuning split, choices are made on the
    reported images.  ``recipes``: by the folder of a stage's, variant's or member's prototxt.
    ``members``: the runs that the ensemble averages, in order.  ``overrides``: what a search found,
    by stage; its effect is in the recipes, which are what is compared.  ``choices``: on which
    images each search chose, and how many of those are "reported", by stage; without an entry for a
    stage of ``overrides``, that is unknown.  ``command``: one in each line, where it took several.
    ``precision``: the arithmetic of all trainings (``engine.precision``).
    ``train_sample``: on how many training images the training accuracy is measured
    (``predict.sample``); 0, as in files that do not say: on all.
    """

    data: dict[str, Any]
    reported: Split
    tuning: Split | None
    seeds: list[int]
    stages: list[int]
    variants: list[str]
    members: list[str]
    epochs: dict[str, int]
    epochs_factor: float
    batch_size: int
    recipes: dict[str, Recipe]
    command: str
    version: int = VERSION
    overrides: dict[str, dict[str, float]] = field(default_factory=dict)
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    train_sample: int = 0
    precision: str = "float32"


class ResultsFolder(Protocol):
    """What is used here of ``results.ResultsPaths``, whose module imports this one."""

    @property
    def root(self) -> Path: ...

    @property
    def experiment(self) -> Path: ...


def describe_data(manifest: Manifest) -> dict[str, Any]:
    """Describe a converted data set by its names and digests, independent of its folder."""
    return {
        "source": manifest.source,
        "source_sha256": manifest.source_sha256,
        "classes": manifest.classes,
        "class_names": dict(zip(manifest.wnids, manifest.class_names)),
        "counts": manifest.counts,
        "digests": manifest.digests,
        "split": manifest.options.get("split"),
    }


def splits_of(manifest: Manifest) -> tuple[Split, Split | None]:
    """The reported split and the tuning split of a converted folder.

    A folder of ``tinynet data split`` says what its splits are for; in any other one ``val`` is
    reported, as in the paper, and there is no tuning split.
    """
    roles = manifest.options.get("roles")
    if roles is None:
        return Split("val", "the validation images", manifest.counts["val"]), None
    tuning = Split("val", roles["val"], manifest.counts["val"])
    is_fold = manifest.options["split"]["plan"] == "Fold"
    if is_fold or not manifest.labelled["test"]:
        return tuning, None  # a fold is held out to be reported
    return Split("test", roles["test"], manifest.counts["test"]), tuning


def read_settings(results: ResultsFolder) -> Settings | None:
    """Read ``experiment.json``; None if there is none.  Raises TinynetError on another form."""
    path = results.experiment
    try:
        content = old_names.read_json(path)
        if isinstance(content, dict) and content.get("version") != VERSION:
            raise ValueError(f"is of version {content.get('version')}, not {VERSION}")
        settings = files.typed(Settings, content)
        _require_names(settings.members)
        _require_epochs(settings)
        return settings
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TinynetError(f"{path}: is not a valid experiment ({error})") from None


def _require_names(members: list[str]) -> None:
    for run in members:
        parts = run.split("/")
        if len(parts) != 2 or any(component_fault(part) for part in parts):
            raise ValueError(f"member {run!r} is not STAGE/NAME")


def _require_epochs(settings: Settings) -> None:
    stages = [stage(number) for number in settings.stages]
    for name in (*(each.name for each in stages if not each.is_ensemble), *settings.variants):
        if name not in settings.epochs:
            raise ValueError(f"says no epochs of {name}")


def write_settings(settings: Settings, results: ResultsFolder) -> None:
    """Write ``experiment.json``, whole or not at all."""
    results.root.mkdir(parents=True, exist_ok=True)
    files.write_json(results.experiment, settings)


def merged_settings(known: Settings | None, new: Settings, where: str) -> Settings:
    """Merge what was asked before with what is asked now.

    Raises UsageError, naming what differs, where the two are not one experiment.
    """
    if known is None:
        return new
    other = []
    if known.data["digests"] != new.data["digests"]:
        other.append(f"another split of {new.data['source']}, or other images")
    for key in ("reported", "tuning"):
        if getattr(known, key) != getattr(new, key):
            other.append(f"another {key} split")
    for key in ("epochs_factor", "batch_size", "precision"):
        mine, theirs = getattr(new, key), getattr(known, key)
        if mine != theirs:
            other.append(f"--{key.replace('_', '-')} {mine}, not {theirs}")
    for name in sorted(known.recipes.keys() & new.recipes.keys()):
        other += [f"{name}: {what}" for what in differences(new.recipes[name], known.recipes[name])]
    if other:
        shown = "; ".join(other[:3]) + (f"; and {len(other) - 3} more" if other[3:] else "")
        raise UsageError(
            f"{where}: holds results of another experiment ({shown}); give the same options, or "
            "name another --results"
        )
    return replace(
        new,
        seeds=sorted({*known.seeds, *new.seeds}),
        stages=sorted({*known.stages, *new.stages}),
        variants=list(dict.fromkeys([*known.variants, *new.variants])),
        members=known.members or new.members,
        epochs={**known.epochs, **new.epochs},
        recipes={**known.recipes, **new.recipes},
        overrides={**known.overrides, **new.overrides},
        choices={**known.choices, **new.choices},
        train_sample=known.train_sample,  # the same for all runs of the folder
        command=_commands(known, new),
    )


def _commands(known: Settings, new: Settings) -> str:
    """The commands that repeat it all, one per line: a single one if it covers the other."""
    if _covers(new, known):
        return new.command
    if _covers(known, new):
        return known.command
    return f"{known.command}\n{new.command}"


def _covers(one: Settings, other: Settings) -> bool:
    return all(
        set(getattr(one, key)) >= set(getattr(other, key))
        for key in ("stages", "seeds", "variants")
    )


@dataclass(frozen=True)
class Choice:
    """On which images a stage's values were searched.

    ``is_honest``: none of them is a reported image.
    """

    text: str
    is_honest: bool


def choices(settings: Settings) -> list[Choice]:
    """For every stage with searched values, on which images they were chosen."""
    made = []
    for name, values in settings.overrides.items():
        choice = settings.choices.get(name)
        what = f"{name}: {', '.join(f'{key} {value:.4g}' for key, value in values.items())}"
        if choice is None:
            text = f"{what}: on which images these were chosen is not known"
            made.append(Choice(text, False))
            continue
        where = f"{what}: chosen on {choice['images']:,} images ({choice['role']})"
        reported = choice["reported"]
        if reported:
            text = f"{where}, of which {reported:,} are reported: results are optimistic"
        else:
            text = f"{where}, none of which is reported"
        made.append(Choice(text, not reported))
    return made
