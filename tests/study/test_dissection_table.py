"""The table holds what a reader would compute by hand from the same files."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.study.results_by_hand import LABELS, add_run, begin
from tinynet.cli import dissect_report
from tinynet.errors import TinynetError
from tinynet.predict.guesses import guesses, write_guesses
from tinynet.predict.probabilities import read_probabilities
from tinynet.study.dissection_table import build
from tinynet.study.results import ResultsPaths, read_dissection, write_dissection

MEMBERS = ["stage7_dropout2/seed1", "stage7_dropout2/seed2", "stage8_ensemble/member03"]


def test_accuracies_and_gains_are_means_over_seeds_paired_by_seed(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed1", 1, one_crop=[0, 1, 2])
    add_run(results, "stage1_simple/seed2", 2, one_crop=[0, 1, 2, 3, 4])
    add_run(results, "stage2_dropout1/seed1", 1, one_crop=[0, 1, 2, 3])
    add_run(results, "stage2_dropout1/seed2", 2, one_crop=[0, 1, 2, 3, 4, 5, 6, 7])
    first, second = build(results).stages
    assert first.one_crop is not None and first.one_crop.mean == pytest.approx(4 / 9)
    assert first.training is not None and first.training.mean == 1
    assert first.gain is None
    # by hand: seed 1 gains 1 of 9, seed 2 gains 3 of 9
    assert second.gain is not None and second.gain.mean == pytest.approx(2 / 9)
    theirs = stats.ttest_rel([4 / 9, 8 / 9], [3 / 9, 5 / 9]).confidence_interval()
    assert second.gain.by_seed == pytest.approx((theirs.low, theirs.high))
    # each image's difference, averaged over the seeds: 0 for five of them or more, never below
    assert second.gain.by_image is not None and second.gain.by_image[0] >= 0


def test_a_gain_is_over_the_seeds_that_both_stages_have(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed2", 2, one_crop=[0])
    add_run(results, "stage2_dropout1/seed1", 1, one_crop=range(9))
    add_run(results, "stage2_dropout1/seed2", 2, one_crop=[0, 1])
    gain = build(results).stages[1].gain
    assert gain is not None and gain.seeds == [2] and gain.mean == pytest.approx(1 / 9)
    assert gain.by_seed is None


def test_crop_gains_on_tuning_images_are_compared_with_held_out_images(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed1", 1, one_crop=[], ten_crop=[0, 1], tuning=[0, 1, 2])
    add_run(results, "stage1_simple/seed2", 2, one_crop=[], ten_crop=[0, 1, 2], tuning=range(8))
    first, second = build(results).stages
    assert first.tuning is not None and first.tuning.mean == pytest.approx(5.5 / 9)
    less = first.tuning_less_reported
    # by hand: seed 1 has 1 of 9 more, seed 2 has 5 of 9 more
    assert less is not None and less.mean == pytest.approx(3 / 9) and less.seeds == [1, 2]
    theirs = stats.ttest_rel([3 / 9, 8 / 9], [2 / 9, 3 / 9]).confidence_interval()
    assert less.by_seed == pytest.approx((theirs.low, theirs.high))
    # tuning: three images right in both, five in one; held out: two in both, one in one
    tuning, held_out = [1.0] * 3 + [0.5] * 5 + [0], [1.0] * 2 + [0.5] + [0] * 6
    half = 1.96 * (np.var(tuning) / 9 + np.var(held_out) / 9) ** 0.5
    assert less.by_image == pytest.approx((3 / 9 - half, 3 / 9 + half), abs=1e-4)
    assert second.tuning is None and second.tuning_less_reported is None
    line = re.compile(r"1 Simple model +2/2 +61.11 +27.78 +\+33.33 +[+-]")
    assert line.search(dissect_report.text(build(results)))


def test_without_tuning_images_nothing_is_compared_with_them(tmp_path: Path) -> None:
    results = begin(tmp_path, tuning=None)
    add_run(results, "stage1_simple/seed1", 1, one_crop=[0])
    assert build(results).stages[0].tuning is None


def test_a_table_of_another_version_is_refused_with_the_command_that_remakes_it(
    tmp_path: Path,
) -> None:
    results = begin(tmp_path)
    write_dissection(tmp_path, build(results))
    assert read_dissection(tmp_path) == build(results)
    content = json.loads(results.table.read_text())
    results.table.write_text(json.dumps({**content, "version": 1}))
    with pytest.raises(TinynetError, match="version 1, not 2; .*--collect"):
        read_dissection(tmp_path)


def test_a_stage_that_has_not_run_says_so_and_has_no_gain(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, "stage2_dropout1/seed1", 1, one_crop=[0])
    table = build(results)
    assert [row.state for row in table.stages[0].runs] == ["not run", "not run"]
    assert table.stages[0].one_crop is None and table.stages[1].gain is None
    text = dissect_report.text(table)
    assert any(line.startswith("1 Simple model") and "not run" in line for line in text.split("\n"))


def ensemble_of(tmp_path: Path, names: list[str]) -> ResultsPaths:
    """Three members; the second is best on tuning images, members 1 and 3 on reported ones."""
    results = begin(tmp_path, stages=[7, 8], members=MEMBERS)
    rights = {
        MEMBERS[0]: ([0, 1, 2, 3, 4], [0, 1]),
        MEMBERS[1]: ([0, 1, 2], [0, 1, 2, 3, 4, 5]),
        MEMBERS[2]: ([3, 4, 5, 6, 7], [0, 2, 4]),
    }
    for number, name in enumerate(names):
        reported, tuning = rights[name]
        add_run(results, name, number + 1, reported, tuning=tuning, sure=0.7 + 0.05 * number)
    return results


def test_the_ensemble_and_its_best_subsets_equal_an_exhaustive_search(tmp_path: Path) -> None:
    results = ensemble_of(tmp_path, MEMBERS)
    found = build(results).ensemble
    assert found is not None and found.full is not None

    def accuracy(subset: tuple[int, ...], split: str) -> float:
        arrays = [
            read_probabilities(results.run(MEMBERS[m]).probabilities(split, True)).probabilities
            for m in subset
        ]
        return float((np.mean(arrays, axis=0).argmax(axis=1) == LABELS).mean())

    subsets = [s for k in (1, 2, 3) for s in itertools.combinations(range(3), k)]
    assert found.full.top1 == pytest.approx(accuracy((0, 1, 2), "test"))
    assert found.chosen is not None and found.flattered is not None
    best = max(accuracy(s, "val") for s in subsets)
    assert found.chosen.tuning == pytest.approx(best)
    chosen = tuple(m - 1 for m in found.chosen.members)
    assert found.chosen.reported == pytest.approx(accuracy(chosen, "test"))
    assert found.flattered.reported == pytest.approx(max(accuracy(s, "test") for s in subsets))
    # choosing on the reported images can only flatter
    assert found.flattered.reported >= found.chosen.reported
    # over member 2, which is best on the tuning images and right on 3 of 9
    assert found.gain_over_best == pytest.approx(found.full.top1 - 3 / 9)


def test_an_ensemble_with_a_missing_member_counts_as_not_run(tmp_path: Path) -> None:
    table = build(ensemble_of(tmp_path, MEMBERS[:2]))
    found = table.ensemble
    assert found is not None and found.full is None and found.chosen is None
    assert found.so_far is not None
    text = dissect_report.text(table)
    assert re.search(r"^all of them \(%\) +not run +49\.02$", text, re.M)
    assert re.search(r"^those 2 that have run, averaged .* \d+\.\d\d +-$", text, re.M)


def test_oversampling_is_paired_within_each_run(tmp_path: Path) -> None:
    results = begin(tmp_path, stages=[7])
    add_run(results, MEMBERS[0], 1, one_crop=[0, 1], ten_crop=[0, 1, 2])
    add_run(results, MEMBERS[1], 2, one_crop=[0, 1], ten_crop=[0, 1, 2, 3])
    gain = build(results).oversampling
    assert gain is not None and gain.mean == pytest.approx(1.5 / 9)


def test_a_table_is_the_same_from_guesses_as_from_probabilities(tmp_path: Path) -> None:
    whole, small = begin(tmp_path / "whole"), begin(tmp_path / "small")
    for results in (whole, small):
        add_run(results, "stage1_simple/seed1", 1, [0, 1, 2], [0, 1, 2, 3])
        add_run(results, "stage2_dropout1/seed1", 1, [0, 2, 4, 5])
    for run in ("stage1_simple/seed1", "stage2_dropout1/seed1"):
        kept = small.run(run)
        for split, crops in (("test", False), ("test", True), ("val", True)):
            path = kept.probabilities(split, crops)
            write_guesses(kept.guesses(split, crops), guesses(read_probabilities(path)))
            path.unlink()
    assert build(small) == build(whole)


def test_a_variant_is_compared_with_its_base_and_has_no_figures_of_the_paper(
    tmp_path: Path,
) -> None:
    name = "variant_slope030"
    epochs = {"stage4_leaky_relu": 16, name: 16}
    results = begin(tmp_path, stages=[4], variants=[name], epochs=epochs)
    add_run(results, "stage4_leaky_relu/seed1", 1, one_crop=[0, 1])
    add_run(results, f"{name}/seed1", 1, one_crop=[0, 1, 2])
    (row,) = build(results).variants
    assert row.gain is not None and row.gain.mean == pytest.approx(1 / 9)
    assert row.gain_over == "stage4_leaky_relu"
    assert row.paper.gain is None


def test_a_damaged_result_file_is_refused_with_the_command_that_recollects_it(
    tmp_path: Path,
) -> None:
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed1", 1, [0, 1, 2])
    path = results.run("stage1_simple/seed1").probabilities("test")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TinynetError) as damaged:
        build(results)
    assert str(damaged.value).startswith(f"{path}: no usable file of probabilities (")
    assert "remove its folder from the results, and the same 'tinynet dissect'" in str(
        damaged.value
    )
    assert "evaluate" not in str(damaged.value)


def test_the_terminal_says_of_which_stage_a_variant_is_and_the_papers_loss(tmp_path: Path) -> None:
    results = begin(
        tmp_path,
        stages=[1, 7],
        variants=["variant_msra"],
        epochs={"stage1_simple": 8, "stage7_dropout2": 24, "variant_msra": 24},
    )
    shown = dissect_report.text(build(results)).splitlines()
    assert [line.split("  ")[0] for line in shown[3:7]] == [
        "1 Simple model",
        "7 + dropout 2",
        "7 over crops",
        "variant of 7: MSRA initialization",
    ]
    assert re.search(r" 44\.90 .* \+4\.52 .* 66\.28 .* 2\.368$", shown[4])
    assert not re.search(r"\d\.\d", shown[6])
