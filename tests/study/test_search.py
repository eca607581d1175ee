"""A search narrows around its best trial, is shared by workers, and resumes after a stop."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import run
from tinynet.caffeformat import schema, text
from tinynet.dataset.selection_set import overlap, parse
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.overrides import read_overrides
from tinynet.experiment.stages import stage
from tinynet.experiment.variants import variant
from tinynet.study import search
from tinynet.study.search import SearchRequest
from tinynet.study.search_space import Range, draw, parse_range
from tinynet.study.trials import Trial, read_trials, winner


def test_each_level_has_a_quarter_of_the_previous_levels_logarithmic_sides() -> None:
    whole = Range("base_lr", 1e-4, 1.0)
    level = whole.around(1e-2, 1)
    assert (level.low, level.high) == pytest.approx((10**-2.5, 10**-1.5))
    edge = whole.around(1.0, 1)
    assert (edge.low, edge.high) == pytest.approx((10**-0.5, 1.0))  # never outside what was asked


@pytest.mark.parametrize(
    "wrong", ["base_lr", "base_lr=1", "base_lr=0:1", "base_lr=2:1", "max_iter=1:9", "nothing=1:2"]
)
def test_an_invalid_range_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        parse_range(wrong)


def test_points_are_spread_over_the_box_and_do_not_depend_on_the_worker() -> None:
    box = (Range("base_lr", 1e-3, 1e-1), Range("weight_decay", 1e-5, 1e-2))
    points = [draw(box, place, (1, 0)) for place in range(10)]
    assert draw(box, 7, (1, 0)) == points[7]
    assert draw(box, 7, (2, 0)) != points[7] != draw(box, 7, (1, 1))
    shares = np.array(
        [[math.log(p[s.name] / s.low) / math.log(s.high / s.low) for s in box] for p in points]
    )
    assert ((shares >= 0) & (shares <= 1)).all()
    # as a Halton sequence does: of the first eight one in each eighth, of nine one in each ninth
    assert sorted(np.floor(8 * shares[:8, 0])) == list(range(8))
    assert sorted(np.floor(9 * shares[:9, 1])) == list(range(9))


def test_several_workers_run_the_same_trials_as_one(lmdb: Path, tmp_path: Path) -> None:
    values = []
    for workers in (1, 3):
        asked = SearchRequest(stage(1), lmdb, tmp_path / str(workers), trials=6, levels=1)
        each = [search._Worker(asked, lambda line: None) for _ in range(workers)]
        taken = [each[number % workers]._take() for number in range(6)]
        assert each[0]._take() is None
        values.append([trial.values for trial in search.trials(asked)])
        for _, lock in filter(None, taken):
            os.close(lock)
        # an unfinished trial is taken again unchanged, and no seventh is made
        trial, lock = each[-1]._take() or (None, -1)
        assert (trial.number, trial.params) == (0, values[-1][0])
        os.close(lock)
    assert values[0] == values[1] and len(values[0]) == 6


def test_a_trial_of_a_variant_is_trained_as_the_variant_is(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def start(command: list[str], *arguments: object, **options: object) -> object:
        commands.append(command)
        return subprocess.Popen(["false"])

    monkeypatch.setattr(search.children, "start", start)
    asked = SearchRequest(variant("dropout_everywhere"), lmdb, tmp_path / "s", trials=1, levels=1)
    with pytest.raises(TinynetError, match="could not be trained"):
        search.run(asked, print)
    place = commands[0].index("--max-norm")
    assert commands[0][place + 1] == f"{asked.stage.max_norm:g}"


def test_a_torn_journal_is_repaired_and_a_damaged_one_refused_in_one_line(
    lmdb: Path, tmp_path: Path
) -> None:
    asked = SearchRequest(stage(1), lmdb, tmp_path / "s", trials=2, levels=1)
    first = search._Worker(asked, print)._take()
    assert first is not None
    os.close(first[1])
    journal = asked.out / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines(keepends=True)[-1][:20])  # a full disk
    again = search._Worker(asked, print)._take()
    assert again is not None and again[0].number == 0
    os.close(again[1])
    assert [trial.number for trial in search.trials(asked)] == [0]
    journal.write_bytes(whole[40:])
    with pytest.raises(TinynetError, match="study.journal: is damaged .*; move it away"):
        search._Worker(asked, print)
    journal.write_bytes(whole[:40] + b"\n" + whole)
    with pytest.raises(TinynetError, match="study.journal: is damaged .*; move it away"):
        search._Worker(asked, print)


def test_a_folder_holds_one_search(lmdb: Path, tmp_path: Path) -> None:
    asked = SearchRequest(stage(1), lmdb, tmp_path / "s", trials=1, levels=1)
    search._Worker(asked, print)
    search._Worker(asked, print)
    with pytest.raises(UsageError, match="s: holds a search of stage1_simple; name another"):
        search._Worker(replace(asked, stage=stage(2)), print)
    for change in ({"seed": 2}, {"ranges": asked.ranges[:1]}):
        with pytest.raises(UsageError, match=f"with other settings .{next(iter(change))}."):
            search._Worker(replace(asked, **change), print)


def test_only_a_search_of_one_level_can_get_more_trials(lmdb: Path, tmp_path: Path) -> None:
    """A level's points depend on its number of trials: with another they would come twice."""
    one_level = SearchRequest(stage(1), lmdb, tmp_path / "s", trials=1, levels=1)
    search._Worker(one_level, print)
    search._Worker(replace(one_level, trials=2), print)
    search._Worker(replace(one_level, trials=2, levels=2), print)
    search._Worker(replace(one_level, trials=2, levels=3), print)
    with pytest.raises(UsageError, match="with other settings .trials.; give the same"):
        search._Worker(replace(one_level, trials=4, levels=2), print)


def test_the_winner_was_trained_to_the_end_and_is_the_earliest_of_equals() -> None:
    found = [
        Trial(0, "pruned", {}, 0.9),
        Trial(1, "complete", {}, 0.5),
        Trial(2, "complete", {}, 0.6),
        Trial(3, "complete", {}, 0.6),
        Trial(4, "failed", {}, None),
    ]
    assert winner(found) == found[2]
    assert winner(found[:1]) is None


def test_generate_takes_the_overrides_and_an_option_comes_before_them(tmp_path: Path) -> None:
    file = tmp_path / "overrides.json"
    file.write_text(json.dumps({"solver": {"base_lr": 0.0125, "weight_decay": 0.002}}))
    out = tmp_path / "p"
    done = run(
        *("generate", "--stage", 1, "--out", out, "--overrides", file, "--weight-decay", 0.25)
    )
    assert done.status == 0
    solver = text.read(out / "stage1_simple" / "solver.prototxt", schema.SolverParameter)
    assert (solver.base_lr, solver.weight_decay) == pytest.approx((0.0125, 0.25))


def test_an_unfinished_trial_is_not_a_point_of_the_plane() -> None:
    from tinynet.report.search_plane import Point, points_of

    values = {"base_lr": 0.1, "weight_decay": 0.2}
    states = ("complete", "pruned", "failed", "running")
    found = [Trial(n, state, values, 0.5) for n, state in enumerate(states)]
    points = points_of(found, ("base_lr", "weight_decay"))
    assert points == [
        Point(0.1, 0.2, 0.5, True),
        Point(0.1, 0.2, 0.5, False),
        Point(0.1, 0.2, None, False),
    ]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"solver": 3}', '{"solver": {"bas_lr": 1}}', '{"solver": {"base_lr": "x"}}',
     '{"solver": {"base_lr": NaN}}', '{"solver": {"stepvalue": 3}}', '{"solver": {"net": 1}}'],
)  # fmt: skip
def test_an_invalid_overrides_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "overrides.json"
    file.write_text(content)
    with pytest.raises(TinynetError, match=str(file)) as caught:
        read_overrides(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--stage N"),
        (("--stage", 8), "search --stage 7"),
        (("--stage", 1, "--variant", "msra"), "one of"),
        (("--variant", "nothing"), "the variants are"),
    ],
)
def test_wrong_use_is_told_what_to_do(tmp_path: Path, options: tuple, says: str) -> None:
    done = run("search", tmp_path, *options)
    assert done.status == 2 and says in done.stderr


def small_search(folder: Path, *options: object) -> list[str]:
    """The command of a search of two short trials on a drawn set in ``folder``."""
    sizes = ("--classes", 2, "--train-per-class", 20, "--val-per-class", 2, "--test-per-class", 1)
    run("data", "synthesize", "--out", folder / "shapes", *sizes)
    run("data", "convert", folder / "shapes", "--out", folder / "lmdb", "--jobs", 1)
    arguments = [
        *("search", folder / "lmdb", "--stage", 1, "--trials", 2, "--levels", 1),
        *("--epochs", 3, "--batch-size", 8, "--cpu", "--out", folder / "s", *options),
    ]
    return [str(argument) for argument in arguments]


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start the search as a process and wait until its first trial is under way."""
    command = [sys.executable, "-m", "tinynet", *arguments]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    history = folder / "s" / "runs" / "stage1_simple" / "trial0000" / "run.json"
    deadline = time.monotonic() + 300
    while not history.exists():
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return first


def trainings(folder: Path) -> list[str]:
    """Command lines of the training processes of the search in ``folder``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode()
            if str(folder / "s" / "runs") in line:
                found.append(line)
    return found


def test_a_training_that_fails_for_a_reason_other_than_its_values_uses_up_no_trial(
    tmp_path: Path,
) -> None:
    arguments = small_search(tmp_path)
    place = arguments.index("--cpu")
    done = run(*arguments[:place], "--gpu", 99, *arguments[place + 1 :])
    assert done.status == 1
    assert "trial 0 could not be trained (cannot use GPU 99: " in done.stderr
    assert [trial.state for trial in read_trials(tmp_path / "s/trials.csv")] == ["running"]


@pytest.mark.long
def test_a_stopped_search_stops_its_training_and_can_be_resumed(tmp_path: Path) -> None:
    arguments = small_search(tmp_path)
    first = started(arguments, tmp_path)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=300)
    assert first.returncode == 75
    assert said.splitlines()[-1].endswith("stopped by SIGTERM; the same command resumes it")
    assert trainings(tmp_path) == []
    state = json.loads((tmp_path / "s/runs/stage1_simple/trial0000/run.json").read_text())["state"]
    assert state == "stopped"
    assert [trial.state for trial in read_trials(tmp_path / "s/trials.csv")] == ["running"]
    done = run(*arguments, "--json")
    assert done.status == 0, done.stderr
    assert "trial 0: was left by another worker" in done.stderr
    assert [trial["state"] for trial in json.loads(done.stdout)] == ["complete", "complete"]


@pytest.mark.long
def test_a_trial_whose_worker_was_killed_is_resumed_by_the_next_worker(tmp_path: Path) -> None:
    arguments = small_search(tmp_path)
    first = started(arguments, tmp_path)
    first.kill()  # its training is told to stop, and holds the trial until it has
    first.communicate()
    done = run(*arguments, "--json")
    assert done.status == 0, done.stderr
    assert "trial 0: was left by another worker" in done.stderr
    found = json.loads(done.stdout)
    assert [trial["number"] for trial in found] == [0, 1]
    assert all(trial["state"] == "complete" for trial in found)
    chosen = read_overrides(tmp_path / "s" / "overrides.json").solver
    best = max(found, key=lambda trial: trial["score"])
    assert chosen == pytest.approx(best["values"])
    trials = read_trials(tmp_path / "s" / "trials.csv")
    assert [trial.score for trial in trials] == pytest.approx([t["score"] for t in found])
    content = json.loads((tmp_path / "s" / "overrides.json").read_text())
    assert content["search"]["trials"] == {"complete": 2} and content["search"]["epochs"] == 3
    # who chose: the tuning images that the search held out, and no others
    chose = parse(content["selection_set"])
    folder = tmp_path / "s" / "data"
    assert [overlap(chose, folder, split) for split in ("train", "val", "test")] == [0, 4, 0]
