"""The live page of trainings: its content, when it is written, and how the command ends."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from tests.cli.command import run
from tests.report.run_directories import write_run
from tinynet.report import live
from tinynet.run.lock import hold
from tinynet.run.record import Run, load


def started(folder, state="running", **values):
    """A run directory under way, as its process on this machine writes it."""
    paths = write_run(folder, state=state, evaluated=False)
    paths.log.write_text("")
    record = load(paths.run_json)
    assert isinstance(record, Run)
    record.host = socket.gethostname()
    for key, value in values.items():
        setattr(record, key, value)
    record.save(paths.run_json)
    return paths


def test_the_page_shows_the_progress_of_every_run(tmp_path):
    paths = started(tmp_path / "stage1_simple" / "seed1", pid=7)
    started(tmp_path / "stage2_dropout1" / "seed1", state="diverged", message="loss 87")
    write_run(
        tmp_path / "results" / "stage1_simple" / "seed1"
    )  # has no log: it is not a run directory
    with hold(paths):
        seen = live.look([tmp_path])
    assert [folder.parent.name for folder in seen] == ["stage1_simple", "stage2_dropout1"]
    text = live.render(seen, 5)
    assert 'http-equiv="refresh" content="5"' in text
    assert "1 of 2 runs are training, 0 finished; stage" in text and "40.0 %" in text
    assert "diverged: loss 87" in text and ">50<" in text  # the last iteration that was written
    assert 'id="figure-curves"' in text
    assert "refresh" not in live.render(seen, 0)
    dead = live.look([tmp_path])
    assert not live.is_training(dead)
    assert dead[tmp_path / "stage1_simple" / "seed1"].state == "died"


def test_a_page_without_runs_or_with_a_damaged_one_says_so(tmp_path):
    assert "No run is here yet." in live.render({}, 5)
    paths = started(tmp_path / "stage1_simple" / "seed1")
    paths.run_json.write_text("{")
    seen = live.look([tmp_path])
    assert "run.json" in live.render(seen, 5) and not live.is_training(seen)


def test_the_page_is_rewritten_on_changes_and_ctrl_c_ends_the_command(tmp_path):
    paths = started(tmp_path / "runs" / "stage1_simple" / "seed1")
    page, messages, pages = tmp_path / "page" / "live.html", [], []

    def sleep(seconds):
        assert seconds >= 0
        pages.append(page.stat().st_mtime_ns)
        if len(pages) == 2:  # the second look found nothing new
            record = {"iteration": 60, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.77}
            with paths.history.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
        if len(pages) == 3:
            raise KeyboardInterrupt

    with hold(paths):
        assert live.watch([tmp_path / "runs"], page, 1, messages.append, sleep) is False
    assert len(messages) == 2 and "40.0 %" in messages[0] and "77.0 %" in messages[1]
    assert pages[0] == pages[1] != pages[2]
    assert "refresh" not in page.read_text() and "The watch has ended" in page.read_text()
    assert sorted(p.name for p in page.parent.iterdir()) == ["live.html"]
    assert live.watch([tmp_path / "runs"], page, 1, messages.append, _interrupted) is True


def _interrupted(seconds):
    raise KeyboardInterrupt


def test_a_second_ctrl_c_does_not_cut_off_the_last_page(tmp_path, monkeypatch):
    page, render = tmp_path / "live.html", live.render

    def interrupted_render(seen, reload):
        if reload == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return render(seen, reload)

    monkeypatch.setattr(live, "render", interrupted_render)
    started(tmp_path / "stage1_simple" / "seed1")
    before = signal.getsignal(signal.SIGINT)
    sleep = lambda seconds: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
    assert live.watch([tmp_path], page, 1, print, sleep) is True
    assert "The watch has ended" in page.read_text()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("is_over", "status"), [(True, 0), (False, 75)])
def test_the_exit_status_says_whether_something_still_trained(
    is_over, status, tmp_path, monkeypatch
):
    monkeypatch.setattr(live, "watch", lambda *arguments: is_over)
    done = run("report", tmp_path, "--watch", "--out", tmp_path / "x.html")
    assert (done.status, done.stdout) == (status, f"{tmp_path / 'x.html'}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("absent",), "absent: no such folder"),
        ((".", "--only", "curves"), "leave out --only"),
        ((".", "--stage", "1"), "leave out --only, --stage, --image"),
        ((".", "--out", "x.png"), "the page is an .html file"),
        ((".", "--every", "0"), "--every"),
    ],
)
def test_a_mistake_gives_one_line_before_anything_is_watched(
    arguments, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = run("report", *arguments, "--watch")
    assert done.status == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
