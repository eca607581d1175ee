"""The figures of scores: subsets, kinds of images, steps, learning curves, confusions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tinynet.experiment import paper
from tinynet.experiment.stages import STAGES
from tinynet.predict.ensemble import average
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.predict.subsets import MAX_MEMBERS
from tinynet.report import accuracies as accuracies_figure
from tinynet.report import bars, figure_numbers
from tinynet.report import confusion as confusion_figure
from tinynet.report import curves as curves_figure
from tinynet.report import subsets as subsets_figure
from tinynet.report.figure import Absent, Figure, FigureOptions
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.report.summary import ensemble_of, stage_bars, subset_scores


def subsets(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figure 5: every subset of the ensemble."""
    members = report_data.members
    ensemble = report_data.dissection.ensemble if report_data.dissection else None
    if not members and ensemble is not None:
        done = len(ensemble.finished)
        raise Absent(f"{done} of the ensemble's {len(ensemble.members)} models; subsets need two")
    if not members and report_data.dissection is not None:
        raise Absent("this dissection has no ensemble; 'tinynet dissect --stage 8' adds it")
    if not members:
        raise Absent(
            "no stage has two runs with ten-crop probabilities; 'tinynet evaluate RUN --oversample'"
        )
    wanted = 0 if ensemble is None else len(ensemble.members)
    share = f" of the ensemble's {wanted}" if len(members) < wanted else ""
    members = members[:MAX_MEMBERS]
    scores = subset_scores(report_data)
    yield Figure(
        "subsets",
        "Accuracy of every subset of the models",
        f"{len(members)} models{share} ({members[0].label}), their ten-crop probabilities "
        "averaged. The best of each size is chosen on these very images, so it is optimistic.",
        subsets_figure.describe(scores, wanted),
        [run.name for run in members],
        lambda: subsets_figure.draw_subsets(scores, report_data.images, wanted),
        lambda: figure_numbers.subsets(scores),
    )


def accuracies(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figure 6: training, validation and test-like accuracy, of the best single model and of all.

    The test-like split is the one on which nothing was chosen; only a results folder has it.
    """
    run = report_data.best
    if run is None:
        raise Absent("no run has probabilities of the validation split; 'tinynet evaluate RUN'")
    found = [_accuracy(run, "train", CENTER, "training\n(single)")]
    honest = report_data.choosing != report_data.reported
    name = "tuning" if honest else "validation"
    ten = _accuracy(run, report_data.choosing, OVERSAMPLE, f"{name}\n(single, crops)")
    if run.stage is not None and run.stage.layers == STAGES[-1].layers:  # the paper's net too
        found[0] = replace(found[0], paper=_percent(paper.STAGES[7].training))
        ten = replace(ten, paper=paper.BEST_MEMBER_TEN_CROPS / 100)
    found.append(ten)
    if honest:
        found.append(_accuracy(run, report_data.reported, OVERSAMPLE, "held out\n(single, crops)"))
    ensemble = ensemble_of(report_data)
    if ensemble is not None:
        stated = [paper.ENSEMBLE, paper.ENSEMBLE_TEST] if ensemble.is_papers else [None, None]
        held = "held out" if honest else "test"
        for kind, split, of_paper in (
            (name, report_data.choosing, stated[0]),
            (held, report_data.reported if honest else "test", stated[1]),
        ):
            label = f"{kind}\n(ensemble)"
            found.append(_ensemble_accuracy(report_data, split, label, _percent(of_paper)))
    yield Figure(
        "accuracies",
        "Training, validation and test-like accuracy",
        f"The single model is {run.name}, the best on the {name} images. Training accuracy "
        "is that of the TEST phase. The paper's test accuracy came from the challenge's server; "
        "ours comes from images on which nothing was chosen, where some were held out.",
        accuracies_figure.describe(found),
        [run.name, *(member.name for member in report_data.members)],
        lambda: accuracies_figure.draw_accuracies(found, "Accuracy by kind of images"),
        lambda: figure_numbers.accuracies(found),
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else value / 100


def _accuracy(run: RunData, split: str, crop: str, label: str) -> accuracies_figure.Accuracy:
    found = run.score(split, crop)
    if found is None:
        return accuracies_figure.Accuracy(label, None)
    return accuracies_figure.Accuracy(label, found.top1, found.images)


def _ensemble_accuracy(
    report_data: ReportData, split: str, label: str, of_paper: float | None
) -> accuracies_figure.Accuracy:
    """The accuracy of all members averaged on a split; None if a member is missing there."""
    found = report_data.members_on(split)
    ensemble = ensemble_of(report_data)
    if not found or (ensemble is not None and len(found) < len(ensemble.members)):
        return accuracies_figure.Accuracy(label, None, paper=of_paper)
    metrics = average(found).metrics
    return accuracies_figure.Accuracy(label, metrics.top1, metrics.images, paper=of_paper)


def dissection(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figure 7: what each stage reaches and gains."""
    found, note = stage_bars(report_data)
    if all(bar.accuracy is None for bar in found):
        raise Absent(
            "no finished run has probabilities of the reported images; 'tinynet evaluate RUN'"
        )
    chance = 1 / report_data.classes if report_data.classes else None
    title = "What each step of the dissection adds"
    if report_data.protocol:
        title += f" ({report_data.protocol})"
    yield Figure(
        "dissection",
        "Accuracy of every stage, and what each step gains",
        f"First the top-1 accuracy on the {report_data.images} images, then what each step gains "
        "over the one before it, beside what the paper says; a variant, over its stage.",
        bars.describe(found),
        [run.name for run in report_data.runs],
        lambda: bars.draw_bars(found, title, chance, note, report_data.images),
        lambda: figure_numbers.bars(found),
    )


def curves(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Losses and accuracies while training."""
    # what a solver's TEST phase sees is val, which an honest split fills with tuning images
    images = "tuning" if report_data.choosing != report_data.reported else "validation"
    histories = {
        label: [run.history for run in runs] for label, runs in report_data.by_stage.items()
    }
    if not any(history for each in histories.values() for history in each):
        raise Absent("no run has a history yet")
    yield Figure(
        "curves",
        "Learning curves",
        "A colour for each stage, a line for each run; of accuracies the mean of a stage's runs. "
        "The training loss is a running mean of what the solver displays, under dropout and "
        f"augmentation; the {images} loss is without them.",
        curves_figure.describe(histories),
        [run.name for run in report_data.runs],
        lambda: curves_figure.draw_curves(histories, images),
        lambda: figure_numbers.curves(histories),
    )


def confusion(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Which classes are taken for which."""
    name, matrix, names = confused(report_data)
    top = confusion_figure.top_confusions(matrix, 3)
    right = int(np.trace(matrix))
    pairs = [
        f"{100 * pair.share:.0f} % of {confusion_figure.short(names[pair.label])} are taken for "
        + confusion_figure.short(names[pair.answer])
        for pair in top
    ]
    alt = f"{right:,} of {int(matrix.sum()):,} images lie on the diagonal. Confused most: "
    alt += "; ".join(pairs) or "none"
    yield Figure(
        "confusion",
        "What each class is taken for",
        f"The {report_data.images} images, answered by {name}. A row is a class, a column the "
        "answer; colours follow the square root of the share, to show what is off the diagonal.",
        alt + ".",
        [name],
        lambda: confusion_figure.draw_confusion(matrix, names, f"Answers of {name}"),
        lambda: figure_numbers.confusion(matrix, names),
    )


def confused(report_data: ReportData) -> tuple[str, np.ndarray, list[str]]:
    """The best single model's name, its confusion matrix and the names of the classes.

    Its answers are over crops, if it was evaluated so.  Raises Absent where there are none.
    """
    run = report_data.best
    if run is None:
        raise Absent("no run has probabilities of the validation split; 'tinynet evaluate RUN'")
    ten, one = run.says(report_data.reported, OVERSAMPLE), run.says(report_data.reported)
    found = ten if ten is not None else one
    if found is None:
        raise Absent(f"{run.name} has no probabilities of the reported images")
    names = [report_data.class_names.get(wnid, wnid) for wnid in found.wnids.tolist()]
    return run.name, confusion_figure.confusion_matrix(found), names
