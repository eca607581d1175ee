"""A page that follows trainings while they run: how far each is, and its curves.

It is made from the run directories alone, so it follows trainings of any process, on this machine
or on another that shares the folder.  It is a file, so it needs no display.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.report import curves, figure_numbers
from tinynet.report.figure import Figure
from tinynet.report.page import drawn, filled
from tinynet.report.parts import Part
from tinynet.report.run_data import label_of
from tinynet.report.table import NONE, Cell, Column, Table, number, percent
from tinynet.run.paths import RunPaths
from tinynet.run.record import FINISHED, RUNNING
from tinynet.run.status import Status, duration, status_of

_DEPTH = 5  # levels of folders searched below one that was named
_SHARE = 0.2  # of one core: the page must not slow the trainings that it shows


def runs_below(sources: Sequence[Path]) -> list[Path]:
    """Run directories (they have a log, which results do not) in or below the folders, in order."""
    found = {folder.resolve(): folder for source in sources for folder in _below(source, _DEPTH)}
    return sorted(found.values())


def _below(folder: Path, depth: int) -> Iterator[Path]:
    paths = RunPaths(folder)
    if paths.run_json.is_file():
        if paths.log.exists():
            yield folder
    elif depth and folder.is_dir():
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
                yield from _below(child, depth - 1)


Seen = dict[Path, "Status | str"]
"""Run directory → its status, or why that cannot be read."""


def look(sources: Sequence[Path]) -> Seen:
    """The status of every run in or below the folders."""
    seen: Seen = {}
    for folder in runs_below(sources):
        try:
            found = status_of(RunPaths(folder))
        except (TinynetError, OSError) as error:
            seen[folder] = str(error)
            continue
        if found is not None:
            seen[folder] = found
    return seen


def is_training(seen: Seen) -> bool:
    return any(isinstance(each, Status) and each.state == RUNNING for each in seen.values())


def render(seen: Seen, reload: int) -> str:
    """The page; ``reload``: after how many seconds it reloads itself, 0 for never."""
    part = Part("curves", "Learning curves", tables=[_table(seen)])
    histories: dict[str, list[curves.History]] = {}
    for folder, each in seen.items():
        if isinstance(each, Status) and each.history:
            label = label_of(RunPaths(folder).stage_name)
            histories.setdefault(label, []).append(each.history)
    if curves.has_points(histories):
        figure = Figure(
            "curves",
            "Learning curves",
            "A colour for each stage, a line for each run. The training loss is a running mean.",
            curves.describe(histories),
            [],
            lambda: curves.draw_curves(histories),
            lambda: figure_numbers.curves(histories),
        )
        part.figures = [drawn(figure, [])]
    else:
        part.absent = "no run has displayed a loss yet"
    return filled("live.html", title="Trainings", lead=lead(seen), reload=reload, part=part)


def lead(seen: Seen) -> str:
    """The state of all runs, in one sentence."""
    if not seen:
        return "No run is here yet."
    states = [each.state for each in seen.values() if isinstance(each, Status)]
    training, done = states.count(RUNNING), states.count(FINISHED)
    text = f"{training} of {len(seen)} runs are training, {done} finished"
    scored = [
        (each.val_accuracy, folder)
        for folder, each in seen.items()
        if isinstance(each, Status) and each.val_accuracy is not None
    ]
    if scored:
        best, folder = max(scored, key=lambda pair: pair[0])
        name = RunPaths(folder).name
        text += f"; {name} is the most accurate on its val images, {100 * best:.1f} %"
    return text + "."


def _table(seen: Seen) -> Table:
    columns = [
        *(Column("run", "name"), Column("state"), Column("iteration", "number")),
        *(Column("of", "number"), Column("loss", "number"), Column("val accuracy (%)", "number")),
        *(Column("left", "number"), Column("device", is_main=False)),
    ]
    rows = []
    for folder, each in seen.items():
        name = Cell(RunPaths(folder).name, title=str(folder))
        if isinstance(each, str):
            rows.append([name, Cell(each), *(NONE for _ in columns[2:])])
            continue
        left = each.seconds_left if each.state == RUNNING else None
        rows.append(
            [
                name,
                Cell(each.state + (f": {each.run.message}" if each.run.message else "")),
                number(each.iteration, 0),
                number(each.run.max_iter, 0),
                number(each.loss, 3),
                percent(each.val_accuracy),
                NONE if left is None else Cell(duration(left), f"{left:.0f}"),
                Cell(each.run.device),
            ]
        )
    return Table("progress", "Every run, as its folder says.", columns, rows)


def watch(
    sources: Sequence[Path],
    page: Path,
    every: float,
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> bool:
    """Write the page every ``every`` seconds if anything has changed, until interrupted.

    Returns whether no run was training in the end.  The last page, which does not reload itself, is
    written whatever ends the watch.  Raises OSError if the page cannot be written.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    seen: Seen = {}
    before: object = None
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Ignore a second Ctrl-C, which would cut off the last page: it takes a second or two."""
        nonlocal interrupted
        interrupted = True
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGINT, interrupt)
    try:
        while not interrupted:  # Python drops an exception that meets a destructor
            began = time.monotonic()
            seen = look(sources)
            state = _state(seen)
            if state != before:
                files.write_text(page, render(seen, max(1, round(every))))
                say(lead(seen))
            before = state
            took = time.monotonic() - began
            sleep(max(every - took, took * (1 / _SHARE - 1)))
    except KeyboardInterrupt:
        pass
    finally:
        files.write_text(page, render(seen, 0))
        signal.signal(signal.SIGINT, handler)
    return not is_training(seen)


def _state(seen: Seen) -> object:
    """What the page depends on: while this is the same, so is the page."""
    return [
        (folder, each) if isinstance(each, str) else (folder, each.state, len(each.history))
        for folder, each in seen.items()
    ]
