"""Every figure by its name: what it shows, from which runs, and how to draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.errors import TinynetError, UsageError
from tinynet.evaluation.ensemble import Member, average
from tinynet.evaluation.metrics import score
from tinynet.evaluation.probabilities import Probabilities
from tinynet.evaluation.subsets import MAX_MEMBERS, score_subsets
from tinynet.experiments import paper
from tinynet.experiments.cross_validation import StageFolds
from tinynet.paths import PROTOTXT_ROOT, StagePaths
from tinynet.prototxt import dataset, nets, schema, text
from tinynet.reporting import (
    accuracies,
    architecture,
    bars,
    confusion,
    curves,
    feature_maps,
    filters,
    folds,
    search_plane,
    subsets,
)
from tinynet.reporting.evidence import (
    CENTER,
    OVERSAMPLE,
    Evidence,
    RunEvidence,
    label_of,
    stage_label,
)
from tinynet.reporting.summary import ensemble_of, stage_bars
from tinynet.stages import STAGES


class Absent(TinynetError):
    """What a figure needs has not been run, or is not here; says what and how to get it."""


@dataclass(frozen=True)
class Figure:
    """A figure that can be drawn.

    ``stem`` names its file; ``caption`` says what is drawn and how; ``alt`` what it shows;
    ``runs`` are those whose numbers are in it; ``draw`` writes it, in the format of the suffix.
    """

    stem: str
    title: str
    caption: str
    alt: str
    runs: list[str]
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Choice:
    """What a reader may choose: a stage for the architecture, a picture for the feature maps."""

    stage: int | None = None
    picture: str | None = None
    engine: str = "auto"
    prototxt: Path = field(default=PROTOTXT_ROOT)


Maker = Callable[[Evidence, Choice], Iterator[Figure]]
FIGURES: dict[str, Maker] = {}


def _figure(name: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        FIGURES[name] = maker
        return maker

    return register


def make(name: str, evidence: Evidence, choice: Choice) -> list[Figure]:
    """The figures called ``name``.  Raises Absent where their runs are not there."""
    return list(FIGURES[name](evidence, choice))


@_figure("architecture")
def _architecture(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figures 1 and 2: every stage that has run (all, where nothing has), from its prototxt."""
    for label, stem, net in _nets(evidence, choice):
        yield Figure(
            f"architecture_{stem}",
            f"Stage {label}" if label[:1].isdigit() else label,
            "Boxes are feature maps (height × width × channels), bars are fully connected layers; "
            "ReLU and dropout stand below what they work on.",
            architecture.describe(net),
            [],
            partial(_draw_architecture, net, label),
        )


def _draw_architecture(net: Any, label: str, out: Path) -> None:
    architecture.draw_architecture(net, out, label)


def _nets(evidence: Evidence, choice: Choice) -> Iterator[tuple[str, str, Any]]:
    """(label, stem, net) of each stage: as run, else as generated, for as many classes as here."""
    done = set()
    for run in evidence.runs:
        wanted = choice.stage is None or (run.stage and run.stage.number == choice.stage)
        if wanted and run.label not in done and run.paths.deploy.exists():
            done.add(run.label)
            yield run.label, run.stage_name, text.read(run.paths.deploy, schema.NetParameter)
    for stage in STAGES:
        label = stage_label(stage)
        path = StagePaths(choice.prototxt, stage.name).deploy
        asked = choice.stage == stage.number or (choice.stage is None and not stage.is_ensemble)
        if asked and label not in done and path.exists():
            done.add(label)
            net = text.read(path, schema.NetParameter)
            units = net.layer[-2].inner_product_param.num_output
            if evidence.classes not in (0, units):
                net = nets.deploy(stage, dataset.describe(None, evidence.classes))
            yield label, stage.name, net
    if not done:
        raise Absent(
            "no deploy.prototxt of a stage is here; run from the checkout, or 'tinynet generate'"
        )


def _chosen(evidence: Evidence) -> RunEvidence:
    """The best single model that has weights, or the last run that has."""
    best = evidence.best
    if best is not None and best.weights is not None:
        return best
    for run in reversed(evidence.runs):
        if run.weights is not None:
            return run
    raise Absent("no run here has a snapshot: name the run directory, which holds the weights")


@_figure("filters")
def _filters(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figure 3: the first layer of the best single model."""
    run = _chosen(evidence)
    assert run.weights is not None
    layer, found = filters.first_filters(run.weights.path)
    yield Figure(
        "filters",
        "Filters of the first layer",
        f"{layer} of {run.name} at iteration {run.weights.iteration:,}. Left as the paper scales "
        "them, by one range, which a few peaked filters widen until all look grey; then without "
        "that fault.",
        filters.describe(found),
        [run.name],
        lambda out: filters.draw_filters(found, out, f"{layer} of {run.name}"),
    )


@_figure("feature-maps")
def _feature_maps(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figure 4: what the first layer makes of one picture, computed by a worker."""
    from tinynet.evaluation.activations import first_layer

    run = _chosen(evidence)
    try:
        found = first_layer(run.whole or run.folder, choice.picture, choice.engine)
    except UsageError:
        raise
    except TinynetError as error:
        raise Absent(str(error)) from error
    yield Figure(
        "feature_maps",
        "Feature maps of the first layer",
        f"Blob {found.blob} of {run.name} at iteration {found.iteration:,}, behind its "
        f"nonlinearity, for the picture {found.name}; each map by its own range, black to white.",
        feature_maps.describe(found),
        [run.name],
        lambda out: feature_maps.draw_feature_maps(
            found, out, f"{found.blob} of {run.name}, picture {found.name}"
        ),
    )


@_figure("subsets")
def _subsets(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figure 5: every subset of the ensemble."""
    members = evidence.members
    if not members:
        raise Absent(
            "no stage has two runs with ten-crop probabilities; 'tinynet evaluate RUN --oversample'"
        )
    members = members[:MAX_MEMBERS]
    found = [_labelled(run.of(evidence.reported, OVERSAMPLE)) for run in members]
    scores = score_subsets([p.probabilities for p in found], found[0].labels)
    yield Figure(
        "subsets",
        "Accuracy of every subset of the models",
        f"{len(members)} models ({members[0].label}), their ten-crop probabilities averaged. The "
        "best of each size is chosen on these very pictures, and so flatters.",
        subsets.describe(scores),
        [run.name for run in members],
        lambda out: subsets.draw_subsets(scores, out, evidence.pictures),
    )


def _labelled(found: Probabilities | None) -> Probabilities:
    assert found is not None
    return found


@_figure("accuracies")
def _accuracies(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figure 6: training, validation and test-like accuracy, of the best single model and of all.

    A split that chose nothing is the test-like one; only a results folder has it.
    """
    run = evidence.best
    if run is None:
        raise Absent("no run has probabilities of the validation split; 'tinynet evaluate RUN'")
    found = [_accuracy(run, "train", CENTER, "training\n(single)")]
    honest = evidence.choosing != evidence.reported
    name = "tuning" if honest else "validation"
    ten = _accuracy(run, evidence.choosing, OVERSAMPLE, f"{name}\n(single, crops)")
    if run.stage is not None and run.stage.layers == STAGES[-1].layers:  # the paper's net too
        found[0] = replace(found[0], paper=_percent(paper.STAGES[7].training))
        ten = replace(ten, paper=paper.BEST_MEMBER_TEN_CROPS / 100)
    found.append(ten)
    if honest:
        found.append(_accuracy(run, evidence.reported, OVERSAMPLE, "held out\n(single, crops)"))
    ensemble = ensemble_of(evidence)
    if ensemble is not None:
        found.append(
            _ensemble_accuracy(
                evidence, evidence.choosing, f"{name}\n(ensemble)", paper.ENSEMBLE / 100
            )
        )
        held = f"{'held out' if honest else 'test'}\n(ensemble)"
        test = evidence.reported if honest else "test"
        found.append(_ensemble_accuracy(evidence, test, held, paper.ENSEMBLE_TEST / 100))
    yield Figure(
        "accuracies",
        "Training, validation and test-like accuracy",
        f"The single model is {run.name}, the best on the pictures that choose. Training accuracy "
        "is that of the TEST phase. The paper's test accuracy came from the challenge's server; "
        "ours comes from pictures that chose nothing, where some were held out.",
        accuracies.describe(found),
        [run.name, *(member.name for member in evidence.members)],
        lambda out: accuracies.draw_accuracies(found, out, "Accuracy by kind of pictures"),
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else value / 100


def _accuracy(run: RunEvidence, split: str, crop: str, label: str) -> accuracies.Accuracy:
    metrics = run.metrics(split, crop)
    if metrics is None:
        return accuracies.Accuracy(label, run.scored(split, crop))
    return accuracies.Accuracy(label, metrics.top1, metrics.images)


def _ensemble_accuracy(
    evidence: Evidence, split: str, label: str, of_paper: float
) -> accuracies.Accuracy:
    """The average of all members on a split; None where a member is missing there."""
    found = [run.of(split, OVERSAMPLE) for run in evidence.members]
    ensemble = ensemble_of(evidence)
    wanted = len(ensemble.members) if ensemble else 0
    present = [p for p in found if p is not None]
    if not present or len(present) < wanted:
        return accuracies.Accuracy(label, None, paper=of_paper)
    mean = average([Member(run.folder, p) for run, p in zip(evidence.members, present)])
    metrics = score(mean.probabilities, mean.labels)
    return accuracies.Accuracy(label, metrics.top1, metrics.images, paper=of_paper)


@_figure("dissection")
def _dissection(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Figure 7: what each stage reaches and gains."""
    found, note = stage_bars(evidence)
    if all(bar.accuracy is None for bar in found):
        raise Absent(
            "no finished run has probabilities of the reported pictures; 'tinynet evaluate RUN'"
        )
    chance = 1 / evidence.classes if evidence.classes else None
    yield Figure(
        "dissection",
        "Accuracy of every stage, and what each step gains",
        f"Left, the top-1 accuracy on the {evidence.pictures} pictures; right, what each step "
        "gains over the one before it, beside what the paper says.",
        bars.describe(found),
        [run.name for run in evidence.runs],
        lambda out: bars.draw_bars(
            found, out, "What each step of the dissection adds", chance, note, evidence.pictures
        ),
    )


@_figure("curves")
def _curves(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Losses and accuracies while training."""
    histories = {label: [run.history for run in runs] for label, runs in evidence.by_stage.items()}
    if not any(history for each in histories.values() for history in each):
        raise Absent("no run has a history yet")
    yield Figure(
        "curves",
        "Learning curves",
        "One line for each run. The training loss is a running mean of what the solver displays, "
        "under dropout and augmentation; the validation loss is without them.",
        curves.describe(histories),
        [run.name for run in evidence.runs],
        lambda out: curves.draw_curves(histories, out),
    )


@_figure("confusion")
def _confusion(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Which classes are taken for which."""
    name, found = confused(evidence)
    matrix = confusion.confusion_matrix(found)
    names = [evidence.class_names.get(wnid, wnid) for wnid in found.wnids.tolist()]
    top = confusion.top_confusions(matrix, 3)
    right = int(np.trace(matrix))
    alt = f"{right:,} of {int(matrix.sum()):,} pictures lie on the diagonal. Confused most: " + (
        "; ".join(
            f"{100 * pair.share:.0f} % of {confusion.short(names[pair.label])} are taken for "
            f"{confusion.short(names[pair.answer])}"
            for pair in top
        )
        or "none"
    )
    yield Figure(
        "confusion",
        "What each class is taken for",
        f"The {evidence.pictures} pictures, answered by {name}. A row is a class, a column the "
        "answer; colours follow the square root of the share, to show what is off the diagonal.",
        alt + ".",
        [name],
        lambda out: confusion.draw_confusion(matrix, names, out, f"Answers of {name}"),
    )


def confused(evidence: Evidence) -> tuple[str, Probabilities]:
    """Whose confusions are shown: the best single model's, over crops where they are there."""
    run = evidence.best
    if run is None:
        raise Absent("no run has probabilities of the validation split; 'tinynet evaluate RUN'")
    ten, one = run.of(evidence.reported, OVERSAMPLE), run.of(evidence.reported)
    found = ten if ten is not None else one
    if found is None:
        raise Absent(f"{run.name} has no probabilities of the reported pictures")
    return run.name, found


@_figure("search")
def _search(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """The plane of two searched values, of each search."""
    drawn = False
    for number, found in enumerate(evidence.searches, 1):
        best = found.best
        if best is None or len(found.names) < 2:
            continue
        names = (found.names[0], found.names[1])
        points = search_plane.points_of(found.trials, names)
        ringed = search_plane.points_of([best], names)[0]
        title = f"Search of {label_of(found.stage_name)}: {len(points)} trials"
        drawn = True
        yield Figure(
            f"search_{number}_{found.stage_name}",
            title,
            "Each trial at its values, coloured by its accuracy on the tuning pictures: a small "
            "square was given up early, and has its last one. Each level of trials is drawn around "
            "the best so far.",
            search_plane.describe(points, ringed, names),
            [],
            partial(_draw_search, points, ringed, names, title),
        )
    if not drawn:
        raise Absent("no search of two values with a completed trial is here; 'tinynet search'")


def _draw_search(
    points: list[search_plane.Point],
    best: search_plane.Point,
    names: tuple[str, str],
    title: str,
    out: Path,
) -> None:
    search_plane.draw_search_plane(points, best, names, title, out)


@_figure("folds")
def _folds(evidence: Evidence, choice: Choice) -> Iterator[Figure]:
    """Cross-validation: held-out accuracy by fold."""
    if not any(found.stages for found in evidence.folds):
        raise Absent("no cross-validation is here; 'tinynet dissect --folds K'")
    for number, found in enumerate(evidence.folds, 1):
        named = [replace(stage, name=label_of(stage.name)) for stage in found.stages]
        yield Figure(
            f"folds_{number}",
            "Accuracy on the fold that was held out",
            "A dot is a fold, a diamond their mean with its 95 % interval (Student's t). Right: "
            "the same nets on pictures that came from the training set, less those from the "
            "validation set; an interval that leaves out 0 says that the two kinds differ.",
            folds.describe(named),
            [],
            partial(_draw_folds, named),
        )


def _draw_folds(stages: list[StageFolds], out: Path) -> None:
    folds.draw_folds(stages, out)
