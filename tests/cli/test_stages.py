"""``tinynet stages`` and ``tinynet diff`` on the command line."""

from __future__ import annotations

import json

import pytest

from tests.cli.command import run
from tinynet.experiment.assumptions import ASSUMPTIONS
from tinynet.experiment.stages import STAGES


def test_the_table_has_every_stage_with_its_change_and_cost() -> None:
    lines = run("stages").stdout.splitlines()
    rows = [line for line in lines if line.startswith("stage") and "_" in line.split()[0]]
    assert [row.split()[0] for row in rows] == [stage.name for stage in STAGES]
    for stage, row in zip(STAGES, rows):
        assert stage.change in row
    assert "50x30x30 100x13x13 200x6x6 400 200" in rows[0]
    assert "3,269,700" in rows[0]
    assert "122.7 M" in rows[0]
    assert "11 x 14,188,104" in rows[7]


def test_json_has_the_figures_of_the_table() -> None:
    summaries = json.loads(run("stages", "--json").stdout)
    assert [summary["parameters"] for summary in summaries] == (
        [3_269_700] * 2 + [2_389_700] * 2 + [14_024_008] + [14_188_104] * 3
    )
    assert summaries[0]["multiply_adds"] == 122_740_000


def test_one_stage_is_shown_layer_by_layer() -> None:
    shown = run("stages", "--stage", 6).stdout
    assert [line.split()[3:] for line in shown.splitlines() if line.startswith("conv2")] == [
        ["128x26x26", "73,856", "49,840,128"],
        ["128x24x24", "147,584", "84,934,656"],
        ["128x22x22", "147,584", "71,368,704"],
    ]


def test_memory_follows_the_batch_and_classes_follow_the_option() -> None:
    [small, large] = [
        json.loads(run("stages", "--stage", 1, "--json", "--batch-size", n).stdout)
        for n in (1, 256)
    ]
    assert small["training_memory"] < large["training_memory"]
    assert small["multiply_adds"] == large["multiply_adds"]
    few = json.loads(run("stages", "--stage", 1, "--json", "--classes", 20).stdout)
    assert small["parameters"] - few["parameters"] == 180 * 401


def test_assumptions_are_all_shown() -> None:
    shown = run("stages", "--assumptions").stdout
    for row in ASSUMPTIONS:
        assert f"{row.question}: {row.decision}" in shown
    listed = json.loads(run("stages", "--assumptions", "--json").stdout)
    assert [set(row) for row in listed] == [{"question", "decision", "reason"}] * len(ASSUMPTIONS)


def changed_lines(*arguments: object) -> list[str]:
    lines = run("diff", *arguments).stdout.splitlines()
    return [
        line
        for line in lines
        if line[:1] in "+-" and line[:3] not in ("+++", "---") and line[1:2] != "#"
    ]


def test_the_diff_of_stages_3_and_4_is_the_slopes_and_the_names() -> None:
    changes = changed_lines(3, 4)
    relu = ["+  relu_param {", "+    negative_slope: 0.01", "+  }"]
    assert [line for line in changes if line in relu] == relu * 4 * 2  # in train_val and in deploy
    others = [line for line in changes if line not in relu]
    assert others
    assert all("stage3_" in line or "stage4_" in line for line in others if "layer" in line)
    assert not [line for line in others if "layer {" in line or "type:" in line]


def test_the_diff_covers_all_three_files_and_names_them() -> None:
    shown = run("diff", 5, 6).stdout
    for name in ("train_val", "deploy", "solver"):
        assert f"--- prototxt/stage5_more_parameters/{name}.prototxt" in shown
        assert f"+++ prototxt/stage6_split_conv2/{name}.prototxt" in shown
    assert '+  name: "conv2a"' in shown


def test_the_diff_to_the_ensemble_shows_one_member() -> None:
    shown = run("diff", 7, 8, "--member", 4).stdout
    assert "+++ prototxt/stage8_ensemble/member04/solver.prototxt" in shown
    assert "\n-random_seed: 1\n" in shown
    assert "\n+random_seed: 804\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stages", "--stage", "0"], "no stage 0; the stages are 1 to 8"),
        (["diff", "1", "9"], "no stage 9"),
        (["diff", "1"], "Missing argument 'AFTER'"),
        (["diff", "7", "8", "--member", "12"], "no member 12"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
