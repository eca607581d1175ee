"""The log parser, on lines as real Caffe writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.run import small_runs
from tinynet.errors import TinynetError
from tinynet.run import log
from tinynet.run.log import LogParser

# display 10, test_interval 20, batch 50; the test at 20 takes 3 s
LINES = """\
WARNING: Logging before InitGoogleLogging() is written to STDERR
I1122 23:59:50.000000 77 solver.cpp:45] Initializing solver from parameters:
I1122 23:59:50.500000 77 train.py:1] Solving small
I1122 23:59:51.000000 77 solver.cpp:239] Iteration 10 (5 iter/s, 0s/10 iters), loss = 4.5
I1122 23:59:51.000001 77 solver.cpp:258]     Train net output #0: loss = 4.6 (* 1 = 4.6 loss)
I1122 23:59:51.000002 77 sgd_solver.cpp:112] Iteration 10, lr = 0.01
I1122 23:59:55.000000 77 solver.cpp:347] Iteration 20, Testing net (#0)
I1122 23:59:58.000000 77 solver.cpp:414]     Test net output #0: accuracy = 0.25
I1122 23:59:58.000000 77 solver.cpp:414]     Test net output #1: accuracy_top5 = 0.5
I1122 23:59:58.000000 77 solver.cpp:414]     Test net output #2: loss = 4.25 (* 1 = 4.25 loss)
I1123 00:00:01.000000 77 solver.cpp:239] Iteration 20 (5 iter/s, 0s/10 iters), loss = 4
I1123 00:00:01.000000 77 solver.cpp:258]     Train net output #0: loss = 4.1 (* 1 = 4.1 loss)
I1123 00:00:01.000000 77 sgd_solver.cpp:112] Iteration 20, lr = 1e-05
""".splitlines()


def parse(lines: list[str], parser: LogParser) -> list[log.Record]:
    records = [record for line in lines for record in parser.feed(line)]
    return records + parser.close()


def test_records_hold_the_values_of_the_log_and_speed_excludes_tests() -> None:
    first, second = parse(LINES, LogParser(batch_size=50))
    assert first == {"iteration": 10, "lr": 0.01, "train_loss": 4.5, "seconds": 0.5}
    # 10 s from display to display over midnight, 3 of them a test: 10 × 50 images in 7 s
    assert second == {
        "iteration": 20,
        "lr": 1e-05,
        "train_loss": 4.0,
        "val_accuracy": 0.25,
        "val_accuracy_top5": 0.5,
        "val_loss": 4.25,
        "images_per_second": pytest.approx(500 / 7, abs=0.06),
        "seconds": 10.5,
    }


def test_a_resumed_session_continues_the_count_of_seconds() -> None:
    assert parse(LINES, LogParser(50, seconds=100.0))[-1]["seconds"] == 110.5


@pytest.mark.parametrize(
    ("before", "after"), [("0228", "0301"), ("0229", "0301"), ("1231", "0101")]
)
def test_a_night_at_the_end_of_a_month_is_as_long_as_any(before: str, after: str) -> None:
    dated = [line.replace("I1122", f"I{before}").replace("I1123", f"I{after}") for line in LINES]
    assert parse(dated, LogParser(50)) == parse(LINES, LogParser(50))


def test_the_year_of_newer_glogs_changes_nothing() -> None:
    dated = [line.replace("I112", "I2026112") for line in LINES]
    assert parse(dated, LogParser(50)) == parse(LINES, LogParser(50))
    assert [log.without_year(line) for line in dated] == LINES


def test_a_line_whose_date_is_damaged_keeps_its_values_but_not_its_time() -> None:
    (whole,) = parse(LINES[:6], LogParser())
    for date in ("I1922", "I1131", "I1122 33:"):  # no such month, day, hour
        damaged = [LINES[0], *(date + line[len(date) :] for line in LINES[1:6])]
        (record,) = parse(damaged, LogParser())
        assert {**record, "seconds": whole["seconds"]} == whole
        assert record["seconds"] == 0.0


@pytest.mark.parametrize("word", ["nan", "-nan", "inf"])
def test_a_loss_that_is_not_finite_is_null_and_valid_json(word: str) -> None:
    line = LINES[3].replace("4.5", word)
    (record,) = parse([LINES[2], line, LINES[5]], LogParser())
    assert record["train_loss"] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_the_last_display_and_the_last_test_make_one_record() -> None:
    lines = [
        "I1122 23:00:00.000000 1 solver.cpp:289] Solving small",
        "I1122 23:00:01.000000 1 solver.cpp:464] Snapshotting to binary proto file x_iter_25",
        "I1122 23:00:02.000000 1 solver.cpp:327] Iteration 25, loss = 1.25",
        "I1122 23:00:03.000000 1 solver.cpp:347] Iteration 25, Testing net (#0)",
        "I1122 23:00:04.000000 1 solver.cpp:414]     Test net output #0: accuracy = 0.75",
        "I1122 23:00:05.000000 1 solver.cpp:347] Iteration 25, Testing net (#1)",
        "I1122 23:00:06.000000 1 solver.cpp:414]     Test net output #0: accuracy = 0.5",
        "I1122 23:00:07.000000 1 solver.cpp:332] Optimization Done.",
    ]
    (record,) = parse(lines, LogParser())
    assert record["train_loss"] == 1.25
    assert (record["val_accuracy"], record["val1_accuracy"]) == (0.75, 0.5)


def test_history_survives_a_torn_last_line_and_is_cut_where_a_run_resumes(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    log.append_history(path, [{"iteration": n, "seconds": n / 2} for n in (0, 10, 20, 30)])
    path.write_bytes(path.read_bytes()[:-9])
    assert [r["iteration"] for r in log.read_history(path)] == [0, 10, 20]
    kept = log.truncate_history(path, 20)  # a solver at 20 displays 20 again
    assert [r["iteration"] for r in kept] == [0, 10]
    assert log.read_history(path) == kept


SOUND = '{"iteration": 0, "lr": 0.1}\n{"iteration": 10, "val_loss": null}\n'


@pytest.mark.parametrize(
    "damage",
    ['{"iteration": 10', "", "[1]", '{"iteration": true}', '{"iteration": -1}', "\0\0\0",
     '{"iteration": 10, "train_loss": "4"}', '{"iteration": 10, "train_loss": NaN}',
     '{"iteration": 10, "train_loss": 1e999}', "[" * 100_000],
)  # fmt: skip
def test_only_an_unfinished_last_line_is_ignored_and_other_damage_is_reported(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(SOUND + damage)  # as a kill may leave it
    assert [r["iteration"] for r in log.read_history(path)] == [0, 10]
    path.write_text(SOUND + damage + "\n")
    with pytest.raises(TinynetError, match=f"{path}:3: is damaged.*that it was copied from"):
        log.read_history(path)
    path.write_text(damage + "\n" + SOUND)
    (tmp_path / "train.log").write_text("")
    with pytest.raises(TinynetError, match=f"{path}:1: is damaged.*'tinynet train {tmp_path}'"):
        log.read_history(path)
    assert log.truncate_history(path, 20) == []  # what a resumed run makes from its log again


def test_a_last_line_without_a_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(SOUND[:-1])
    assert [r["iteration"] for r in log.read_history(path)] == [0, 10]


def test_repeating_the_command_rebuilds_the_damaged_history_of_a_finished_run(
    trained, tmp_path: Path
) -> None:
    trained("torch", tmp_path)
    path = tmp_path / "runs/small/seed7/history.jsonl"
    before = path.read_text()
    lines = before.splitlines(keepends=True)
    path.write_text("".join([*lines[:2], lines[2].replace(":", "?"), *lines[3:]]))
    with pytest.raises(TinynetError, match="history.jsonl:3: is damaged"):
        log.read_history(path)
    child = small_runs.train(tmp_path, "runs/small/seed7", "--engine", "torch")
    assert child.returncode == 0, child.stderr
    assert "history.jsonl:3: is damaged" in child.stderr
    assert "has been made from train.log again" in child.stderr
    assert path.read_text() == before


def test_train_log_can_be_parsed_as_caffes_own_tools_do(trained, tmp_path: Path) -> None:
    """The tools read month and day from fixed columns, take `Solving` as the start, and expect
    no blank line after the first iteration."""
    trained("caffe", tmp_path)
    lines = (tmp_path / "runs/small/seed7/train.log").read_text().splitlines()
    assert any("Solving small" in line for line in lines)
    assert all(line.strip() for line in lines)
    for line in lines:
        if "Iteration" in line or "Solving" in line:
            date, time = line.split()[:2]
            assert 1 <= int(date[1:3]) <= 12 and 1 <= int(date[3:]) <= 31
            assert len(time.split(":")) == 3 and "." in time


NOW = ("resume.py:108] tinynet: ", "resume.py:109] tinynet: ")
OF_TINYNET_0_1 = ("driver.py:1] ", "driver.py:2] ")


def resumed_log(tmp_path: Path, prefixes: tuple[str, str] = NOW) -> tuple[Path, list[log.Record]]:
    """A log of two sessions, the second from 20 on, and the history made from it."""
    first, second = LINES, [line.replace("76", "5") for line in LINES[2:]]
    second[0] = second[0].replace("50.500000", "52.000000")
    path = tmp_path / "train.log"
    marker = (
        f"I1122 23:59:51.500000 9 {prefixes[0]}Resuming at iteration 20 from x on torch: exactly"
    )
    note = f"W1122 23:59:51.900000 9 {prefixes[1]}Iteration 15, loss = 4"
    path.write_text("\n".join([*first, marker, note, *second]) + "\n")
    history = [r for r in parse(first, LogParser(50)) if r["iteration"] < 20]
    return path, history + parse(second, LogParser(50, history[-1]["seconds"]))


@pytest.mark.parametrize("prefixes", [NOW, OF_TINYNET_0_1])
def test_a_history_can_be_rebuilt_from_the_log_of_all_sessions(
    tmp_path: Path, prefixes: tuple[str, str]
) -> None:
    path, history = resumed_log(tmp_path, prefixes)
    assert log.rebuild_history(path, 50) == history
    assert log.rebuild_history(tmp_path / "no.log") == []


def test_losses_missing_from_the_log_after_a_kill_are_reported() -> None:
    records = [{"iteration": n, "train_loss": 1.0} for n in (0, 10, 30)]
    records.append({"iteration": 20, "val_accuracy": 0.5})
    assert log.missing_displays(records, 10, 40) == [20]
    assert log.missing_displays(records, 0, 40) == []


@pytest.mark.parametrize("torn", ["", "I1123 00:00:04.000000 77 a.cpp:1] Iteration 30, loss = 3."])
@pytest.mark.parametrize("block", [7, 1 << 16])
def test_a_line_torn_by_a_full_disk_is_removed_before_the_log_resumes(
    torn: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_BLOCK", block)
    path = tmp_path / "train.log"
    whole = "".join(line + "\n" for line in LINES)
    path.write_text(whole + torn)
    log.cut_torn_line(path)
    assert path.read_text() == whole
    path.write_text(torn)
    log.cut_torn_line(path)
    assert path.read_text() == ""
    log.cut_torn_line(tmp_path / "none.log")
    assert not (tmp_path / "none.log").exists()
