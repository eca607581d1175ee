"""Figures show the given numbers and are written to files completely."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from tests.predict.test_subsets import some_members
from tests.report import overlaps
from tests.study.results_by_hand import add_run, begin
from tinynet.errors import TinynetError, UsageError
from tinynet.predict.subsets import score_subsets
from tinynet.report import canvas, figures
from tinynet.report.accuracies import Accuracy, draw_accuracies
from tinynet.report.bars import Bar, draw_bars
from tinynet.report.curves import draw_curves, mean_points
from tinynet.report.figure import FigureOptions
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.report.search_plane import Point, draw_search_plane
from tinynet.report.stage_tables import tuning_and_held_out
from tinynet.report.subsets import draw_subsets
from tinynet.report.summary import stage_bars
from tinynet.run.record import Run
from tinynet.study.dissection_table import build
from tinynet.study.results import FINISHED, ResultsPaths

HISTORY = [
    {"iteration": 0, "train_loss": 3.0, "val_loss": 3.1, "val_accuracy": 0.05},
    {"iteration": 10, "train_loss": 2.0, "lr": 0.1},
    {"iteration": 20, "train_loss": None, "val_loss": 2.5, "val_accuracy": 0.4},
    {"iteration": 30, "train_loss": 1.0},
]
BARS = [
    Bar("1 simple", 0.30, (0.29, 0.31)),
    Bar("2 + dropout", 0.34, gain=0.04, paper_gain=0.0488),
    Bar("3 + crops", None),
    Bar("4 + leaky", 0.375),
]


def lines_of(axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_figure_5_shows_every_subset_the_best_of_each_size_and_the_full_ensemble():
    members, labels = some_members(5, 200, 6)
    scores = score_subsets(members, labels)
    figure = draw_subsets(scores)
    axes = figure.axes[0]
    (sizes, accuracies), (best_sizes, best), (full_size, full) = lines_of(axes)
    everything = {(scores.sizes[mask], int(scores.correct[mask])) for mask in range(1, 32)}
    shown = {(int(x), round(y * 2)) for x, y in zip(sizes, accuracies)}
    assert shown == {(int(size), count) for size, count in everything}
    assert best_sizes == [1, 2, 3, 4, 5]
    assert best == [100 * scores.accuracy(scores.best_of_size(size)) for size in best_sizes]
    assert (full_size, full) == ([5], [pytest.approx(100 * scores.accuracy(31))])
    low, high = axes.get_ylim()
    assert low < min(accuracies) and high > max(accuracies)
    assert axes.get_xlabel() and "validation accuracy" in axes.get_ylabel()


def test_learning_curves_leave_out_what_is_missing_or_not_finite():
    figure = draw_curves({"stage1": [HISTORY], "stage2": [HISTORY[:1]], "new": [[]]})
    loss, _, accuracy = figure.axes
    training, validation = lines_of(loss)[:2]
    assert training == ([0, 10, 30], [3.0, 2.0, 1.0])
    assert validation == ([0, 20], [3.1, 2.5])
    assert lines_of(accuracy)[0] == ([0, 20], [5.0, 40.0])
    (legend,) = figure.subfigs[1].legends
    assert [text.get_text() for text in legend.get_texts()] == ["stage1", "stage2"]


def test_a_spike_of_the_loss_does_not_flatten_the_curves():
    records = [{"iteration": i, "train_loss": 3.0 - i / 10} for i in range(9)]
    records.append({"iteration": 9, "train_loss": 87.3})
    figure = draw_curves({"run": [records]})
    assert figure.axes[0].get_ylim()[1] < 4


def test_the_two_panels_of_a_single_stage_are_aligned():
    figure = draw_curves({"stage1": [HISTORY]})
    figure.draw_without_rendering()
    loss, accuracy = (axes.get_position() for axes in figure.axes)
    assert (loss.x0, loss.x1) == pytest.approx((accuracy.x0, accuracy.x1), abs=1e-6)
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_learning_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(TinynetError, match="no learning curves"):
        canvas.save(draw_curves({"run": [[]]}), tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_bars_show_values_and_gains_and_mark_what_has_not_run():
    figure = draw_bars(BARS, "Validation accuracy", chance=0.05)
    axes, gains = figure.axes
    assert [patch.get_width() for patch in axes.patches] == pytest.approx([30.0, 34.0, 37.5])
    assert texts_of(axes)[:4] == ["30.00", "34.00", "not run", "37.50"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [bar.label for bar in BARS]
    top = axes.transData.transform((0, 0))[1]
    assert top > axes.transData.transform((0, 2))[1]  # the first stage stands on top
    dots = [(x[0], round(y[0])) for x, y in lines_of(gains) if len(x) == 1 and x != y]
    assert sorted(dots) == [(pytest.approx(4.0), 1), (pytest.approx(4.88), 1)]


def test_a_figure_file_of_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"bars.jpg: .*\.png, \.svg, \.pdf"):
        canvas.save(draw_bars(BARS, "Accuracy"), tmp_path / "bars.jpg")
    assert not list(tmp_path.iterdir())


def test_every_figure_is_written_as_a_reproducible_png_and_nothing_else(tmp_path):
    members, labels = some_members(3, 50, 4)
    scores = score_subsets(members, labels)
    draws = {
        "subsets.png": lambda path: canvas.save(draw_subsets(scores), path),
        "curves.png": lambda path: canvas.save(draw_curves({"run": [HISTORY]}), path),
        "bars.png": lambda path: canvas.save(draw_bars(BARS, "Accuracy", note="of one seed"), path),
    }
    for name, draw in draws.items():
        path = tmp_path / "new" / name
        draw(path)
        first = path.read_bytes()
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert np.asarray(image.convert("L")).std() > 5  # something is drawn
        draw(path)
        assert path.read_bytes() == first
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(draws)


def test_variants_come_after_the_stages_and_gain_over_their_own_stage_only(tmp_path):
    names = ["variant_slope010", "variant_slope030"]
    epochs = dict.fromkeys(("stage4_leaky_relu", "stage5_more_parameters", *names), 16)
    results = begin(tmp_path, stages=[4, 5], variants=names, epochs=epochs)
    for number, name in enumerate(names):
        add_run(results, f"{name}/seed1", 1, one_crop=range(2 + number))
    add_run(results, "stage5_more_parameters/seed1", 1, one_crop=range(7))
    found, note = stage_bars(ReportData([], dissection=build(results)))
    assert [bar.label for bar in found] == [
        *("4 + leaky ReLU", "5 + more parameters", "7 over crops"),
        *("variant of 4: leaky ReLU of slope 0.1", "variant of 4: leaky ReLU of slope 0.3"),
    ]
    # stage 4 has not run, so that nothing is known of a gain: not over the line above either
    assert [bar.gain for bar in found] == 5 * [None] and "variant" not in note
    add_run(results, "stage4_leaky_relu/seed1", 1, one_crop=[0])
    found, note = stage_bars(ReportData([], dissection=build(results)))
    assert found[-1].gain == pytest.approx(2 / 9) and "A variant's gain is over its own" in note


def report_data_of(results: ResultsPaths) -> ReportData:
    """Report data of a results folder, with its runs as finished ones."""
    table = build(results)
    rows = [row for row in table.ensemble.members if row.state == FINISHED]
    runs = [RunData(results.root / row.run, Run(FINISHED, seed=row.seed)) for row in rows]
    return ReportData(runs, dissection=table)


def test_a_part_of_an_ensemble_is_never_shown_as_the_whole(tmp_path):
    members = [f"stage7_dropout2/seed{seed}" for seed in (1, 2, 3)]
    results = begin(tmp_path, stages=[7, 8], members=members, seeds=[1, 2, 3])

    def texts() -> list[str]:
        (figure,) = figures.make("subsets", report_data_of(results), FigureOptions())
        (axes,) = figure.draw().axes
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        return [axes.get_title(loc="left"), legend[-1], figure.caption, figure.alt]

    for number, name in enumerate(members[:2], 1):
        add_run(results, name, number, one_crop=range(number))
    part = re.compile("2 (models )?of (the ensemble's )?3")
    assert all(part.search(text) for text in texts()), texts()
    add_run(results, members[2], 3, one_crop=range(3))
    assert all("3 models" in text and not part.search(text) for text in texts()), texts()


def test_tuning_accuracy_is_shown_beside_the_reported_accuracy(tmp_path):
    run = "stage7_dropout2/seed1"
    results = begin(tmp_path, stages=[1, 7, 8], members=[run, "stage7_dropout2/seed2"])
    add_run(results, run, 1, one_crop=[], ten_crop=[0, 1, 2], tuning=range(6))
    (row,) = tuning_and_held_out(report_data_of(results)).rows
    # of nine images: six, three, three more; +- 1.96 sqrt(2 (2/9) / 9) = 43.56 points
    assert [cell.text for cell in row] == [
        *("7 + dropout 2", "1/2", "66.67", "33.33", "+33.33", "\N{MINUS SIGN}10.22 … +76.89", "—")
    ]
    no_tuning = begin(tmp_path / "none", stages=[7], tuning=None)
    add_run(no_tuning, run, 1, one_crop=[0])
    assert tuning_and_held_out(ReportData([], dissection=build(no_tuning))) is None


def test_error_bars_are_by_image_for_all_and_a_gain_of_fewer_seeds_is_noted(tmp_path):
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed1", 1, one_crop=[0, 1, 2])
    add_run(results, "stage2_dropout1/seed1", 1, one_crop=[0, 1, 2, 3])
    found, note = stage_bars(ReportData([], dissection=build(results)))
    assert "seeds that both stages have" not in note and "ensemble" not in note
    add_run(results, "stage1_simple/seed2", 2, one_crop=range(6))
    table = build(results)
    found, note = stage_bars(ReportData([], dissection=table))
    assert found[0].interval == table.stages[0].one_crop.by_image
    assert table.stages[0].one_crop.by_seed is not None
    assert "by image" in note and "seeds that both stages have" in note


def test_curves_name_the_images_that_they_are_measured_on():
    figure = draw_curves({"run": [HISTORY]}, "tuning")
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert "tuning accuracy (top-1, %)" in labels


def test_an_accuracy_curve_is_the_mean_only_where_all_runs_have_a_value():
    other = [{"iteration": 0, "val_accuracy": 0.15}, {"iteration": 10, "val_accuracy": 0.3}]
    assert mean_points([HISTORY, other], "val_accuracy") == [(0, pytest.approx(0.1))]
    assert mean_points([HISTORY, []], "val_accuracy") == [(0, 0.05), (20, 0.4)]
    assert mean_points([[]], "val_accuracy") == []


def test_a_figure_for_a_phone_is_narrow_and_nothing_in_it_is_cut_off():
    drawn = []
    members, labels = some_members(11, 200, 6)
    bars = [*BARS, Bar("variant of 7: trained with what is known today", 0.4, (0.3, 0.5), 0.1)]
    note = (
        "One crop unless over crops; means of up to 3 seeds; error bars: 95 % by image.\nAnd more."
    )
    found = [
        Accuracy("training\n(single)", 0.7836, 9000),
        Accuracy("tuning\n(single, crops)", 0.603, 1000, paper=0.464),
        *(
            Accuracy(f"held out\n({what})", 0.598, 1000, paper=0.44)
            for what in ("single", "ensemble")
        ),
    ]
    histories = {f"{n} + a stage of a long name": [HISTORY] for n in range(1, 6)}
    title = "What each step of the dissection adds (schedules times 0.4)"
    with canvas.narrow():
        drawn.append(draw_bars(bars, title, 0.05, note))
        drawn.append(draw_subsets(score_subsets(members, labels)))
        drawn.append(draw_accuracies(found, "Accuracy by kind of images"))
        drawn.append(draw_curves(histories))
    assert [figure.get_figwidth() for figure in drawn] == [canvas.NARROW] * 4
    assert [overlaps.faults(figure) for figure in drawn] == [[]] * 4
    assert not canvas.is_narrow()


def test_stages_have_distinct_colours_and_an_outlier_flattens_no_curve():
    far = [{"iteration": 0, "train_loss": 40.0}, {"iteration": 30, "train_loss": 1.0}]
    histories = {f"stage {n}": [HISTORY] for n in range(9)} | {"variant": [far]}
    figure = draw_curves(histories)
    panels = [axes for axes in figure.axes[:-1] if axes.get_lines()]
    colours = [{line.get_color() for line in axes.get_lines()} for axes in panels]
    assert all(len(each) == 1 for each in colours)
    assert len({each.pop() for each in colours}) == len(panels) == 10
    assert max(axes.get_ylim()[1] for axes in panels) < 4
    assert texts_of(panels[-1]) == ["begins at 40.0"] and texts_of(panels[0]) == []


def test_the_legend_of_the_search_plane_uses_no_colour_of_its_scale():
    points = [
        Point(0.01, 1e-4, 0.3, True),
        Point(0.02, 1e-3, 0.1, False),
        Point(0.1, 1, None, True),
    ]
    figure = draw_search_plane(points, points[0], ("base_lr", "weight_decay"), "x")
    axes = figure.axes[0]
    handles = axes.get_legend().legend_handles
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["trained to the end", "given up early", "diverged or failed", "best: 30.00 %"]
    for handle in handles[:2]:
        assert handle.get_markerfacecolor() == "none"
        assert handle.get_markeredgecolor() == canvas.INK
