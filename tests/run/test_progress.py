"""The progress of a run on a terminal and elsewhere."""

from __future__ import annotations

import errno
import io

import pytest

from tinynet.run.progress import Progress

RECORD = {"iteration": 40, "train_loss": 3.25, "val_accuracy": 0.125, "images_per_second": 812.4}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_with_loss_accuracy_speed_and_time_left() -> None:
    stream = Terminal()
    progress = Progress("small", 0, 100, stream=stream)
    progress.log_line("I1122 23:00:00.000000 1 train.py:1] Solving small")
    progress.log_line("W1122 23:00:00.000000 1 precision.cpp:1] slow here")
    progress.record(RECORD)
    last = stream.getvalue().rsplit("\r", 1)[-1]
    progress.close()
    assert last.startswith("small: 40/100 |")
    assert " left, loss 3.25, val 12.5 %, 812 img/s" in last
    assert "Solving" not in stream.getvalue() and "\n" not in last
    assert "1 precision.cpp:1] slow here\n" in stream.getvalue()


def test_without_a_terminal_the_log_is_shown_from_solving_on_and_warnings_before_it() -> None:
    stream = io.StringIO()
    progress = Progress("small", 0, 100, stream=stream)
    lines = [
        "WARNING: Logging before InitGoogleLogging() is written to STDERR",
        "I1122 23:00:00.000000 1 net.cpp:86] Creating Layer data",
        "W1122 23:00:00.000000 1 net.cpp:86] an old field",
        "I1122 23:00:00.000000 1 train.py:1] Solving small",
        "I1122 23:00:00.000000 1 solver.cpp:239] Iteration 0, loss = 1",
    ]
    for line in lines:
        progress.log_line(line)
    progress.record(RECORD)
    progress.close()
    assert stream.getvalue().splitlines() == lines[2:]


def test_quiet_shows_only_messages() -> None:
    for stream in (io.StringIO(), Terminal()):
        progress = Progress("small", 0, 100, quiet=True, stream=stream)
        progress.log_line("W1122 23:00:00.000000 1 net.cpp:86] an old field")
        progress.record(RECORD)
        progress.message("SIGINT: stopping")
        progress.close()
        assert stream.getvalue() == "SIGINT: stopping\n"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "gone"), RuntimeError("reentrant call")])
@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_output_that_cannot_be_written_ends_no_training(
    stream: type[io.StringIO], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress("small", 0, 100, stream=(shown := stream()))

    def fail(text: str) -> int:
        raise error

    monkeypatch.setattr(shown, "write", fail)
    progress.log_line("W1122 23:00:00.000000 1 net.cpp:86] an old field")
    progress.iteration(20)
    progress.record(RECORD)
    progress.message("SIGHUP: stopping after this iteration")
    progress.close()
