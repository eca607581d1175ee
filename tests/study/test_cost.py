"""The cost of a training follows from its files, and the remaining time from its history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinynet.caffeformat import schema, text
from tinynet.experiment import generate
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.stages import stage
from tinynet.run.paths import RunPaths
from tinynet.run.status import duration
from tinynet.study.cost import Cost, Pace, cost


def test_a_training_costs_its_iterations_its_tests_and_its_evaluations(tmp_path: Path) -> None:
    files = generate.generate(tmp_path, DataSet(), [stage(1)])
    paths = StagePaths(tmp_path, stage(1).name)
    net = text.parse(files[paths.train_val], schema.NetParameter, "net")
    solver = text.parse(files[paths.solver], schema.SolverParameter, "solver")
    found = cost("stage1_simple/seed1", net, solver, evaluated=210_000)
    # README's table: 122.7 million multiply-adds an image; 20 epochs of 781 iterations of 128
    assert found.multiply_adds == pytest.approx(122.7e6, rel=1e-3)
    assert (found.iterations, found.batch) == (20 * 781, 128)
    tests = 20 + 1  # one an epoch, and one before the first
    assert found.tested == tests * 10_000 + 210_000
    assert found.images == pytest.approx(20 * 781 * 128 + found.tested / 3)


def test_the_pace_is_that_since_the_last_line_and_the_rest_is_scaled_by_operations(
    tmp_path: Path,
) -> None:
    one = Cost("a/seed1", iterations=1000, batch=10, tested=0, multiply_adds=5)
    big = Cost("b/seed1", iterations=1000, batch=10, tested=0, multiply_adds=50)
    history = RunPaths(tmp_path / "a/seed1").history
    history.parent.mkdir(parents=True)
    pace = Pace({one.run: one, big.run: big}, tmp_path)

    def show(iteration: int, rate: float) -> None:
        with history.open("a") as file:
            file.write(json.dumps({"iteration": iteration, "images_per_second": rate}) + "\n")

    show(50, 1.0)  # of an earlier session
    show(100, 20.0)
    assert pace.lines(["a/seed1"], ["a/seed1", "b/seed1"]) == [
        # 9,000 images at 20/s; b is ten times a: 9,000 + 100,000 images of a's kind
        "a/seed1: iteration 100 of 1,000, 20 img/s, 8 min left; "
        "1 more to do, all about 1 h 31 min left"
    ]
    show(150, 30.0)
    show(200, 6.0)  # 500 images in 16.7 s and 500 in 83.3 s: 1,000 in 100 s
    expected = [
        "a/seed1: iteration 200 of 1,000, 10 img/s, 13 min left; "
        "0 more to do, all about 13 min left"
    ]
    assert pace.lines(["a/seed1"], ["a/seed1"]) == expected
    # nothing is displayed until the next line
    assert pace.lines(["a/seed1"], ["a/seed1"]) == [
        "a/seed1: iteration 200 of 1,000, 6 img/s, 22 min left; 0 more to do, all about 22 min left"
    ]
    show(1000, 20.0)  # it is evaluated now
    (line,) = pace.lines(["a/seed1"], ["a/seed1", "b/seed1"])
    assert line.startswith("a/seed1: iteration 1,000 of 1,000, 20 img/s, 0 s left; 1 more")
    assert line.endswith("all about 1 h 23 min left")  # b's 100,000 images of a's kind


def test_the_expected_time_of_a_run_is_bounded_by_the_rates_of_others(tmp_path: Path) -> None:
    small, middle, large, huge = (
        Cost(f"{name}/seed1", iterations=100, batch=10, tested=300, multiply_adds=size)
        for name, size in (("small", 10), ("middle", 20), ("large", 40), ("huge", 80))
    )
    pace = Pace({one.run: one for one in (small, middle, large, huge)}, tmp_path)
    assert pace.expected("small/seed1") is None  # nothing has shown a rate
    # evaluated anew, since its results have lost files: nobody has counted what it costs
    assert pace.expected("other/seed1") is None

    def shows(run: str, rate: float) -> None:
        history = RunPaths(tmp_path / run).history
        history.parent.mkdir(parents=True)
        history.write_text(json.dumps({"iteration": 10, "images_per_second": rate}) + "\n")

    shows("small/seed1", 100)
    shows("large/seed1", 50)
    images = 100 * 10 + 300 / 3
    # 20 s for the processes to begin
    assert pace.expected("small/seed1") == pytest.approx(20 + (images - 10 * 10) / 100)
    # at most as long as large
    assert pace.expected("middle/seed1") == pytest.approx(20 + images / 50)
    assert pace.expected("huge/seed1") == pytest.approx(20 + 2 * images / 50)  # twice the products


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (720, "12 min"), (19_200, "5 h 20 min"), (7200, "2 h"), (273_600, "3 d 4 h")],
)
def test_a_duration_is_printed_in_at_most_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
