"""Parses Caffe's training log, line by line, into the records of ``history.jsonl``.

Both engines write the same lines, so one parser serves both.  A record holds what the log says
about one iteration; keys without a value are left out:

    {"iteration": 200, "lr": 0.01, "train_loss": 4.1, "val_loss": 4.3, "val_accuracy": 0.11,
     "val_accuracy_top5": 0.31, "images_per_second": 812.4, "seconds": 31.6}

``train_loss`` is the loss that the solver displays (smoothed over average_loss iterations).  Every
other output of the training net is ``train_NAME``, of the first test net ``val_NAME``, of test net
K ``valK_NAME``.  A value that is not finite is null.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.caffeformat.glog import OWN
from tinynet.errors import TinynetError
from tinynet.run.paths import RunPaths

Record = dict[str, Any]
# source of the driver's own lines in logs of tinynet 0.1; such lines begin with OWN now
_FORMER_DRIVER = "driver.py:"

_BLOCK = 1 << 16  # bytes
# I1122 23:11:43.123456 12345 solver.cpp:239] text; since glog 0.6 the year precedes 1122
_GLOG = re.compile(
    r"([IWEF])(?:\d{4})?(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) +(\d+) ([^\] ]+:\d+)\] (.*)"
)
_YEAR = re.compile(r"^([IWEF])\d{4}(\d{4} \d\d:\d\d:\d\d\.\d{6} )")
_ITERATION = re.compile(r"Iteration (\d+)\b(.*)")
_LOSS = re.compile(r"(?: \(.*\))?, loss = (\S+)$")
_RATE = re.compile(r", lr = (\S+)$")
_TESTING = re.compile(r", Testing net \(#(\d+)\)$")
_RESUMING = re.compile(rf"(?:{OWN})?Resuming at iteration (\d+) ")
_OUTPUT = re.compile(r"    (Train|Test) net output #\d+: (\S+) = (\S+)")


def without_year(line: str) -> str:
    """The line as glog before 0.6 writes it: Caffe's log tools read 1122 from columns 1 to 4."""
    return _YEAR.sub(r"\1\2", line)


class LogParser:
    """Turns log lines into records, in the order in which they become complete.

    ``batch_size``: images per iteration; 0 if unknown, which leaves out images_per_second.
    ``seconds``: how long earlier sessions of the run took; the time since the line ``Solving NAME``
    is added to it.
    """

    def __init__(self, batch_size: int = 0, seconds: float = 0.0) -> None:
        self._batch_size = batch_size
        self._seconds = seconds
        self._record: Record | None = None
        self._when: datetime | None = None
        self._clock: float | None = None  # seconds of this session; None before `Solving`
        self._prefix = "val_"
        self._display: tuple[int, float] | None = None  # iteration and time of the last display
        self._test_start: float | None = None
        self._test_end = 0.0
        self._testing = 0.0  # seconds of tests since the last display

    def feed(self, line: str) -> list[Record]:
        """Take one line and return the records that it completes; skip a line not from glog."""
        match = _GLOG.match(line)
        if not match:
            return []
        now = self._advance(match)
        text = match[10]
        if text.startswith("Solving ") and self._clock is None:
            self._clock = 0.0
            return []
        output = _OUTPUT.match(text)
        if output and self._record is not None:
            self._take_output(output, now)
            return []
        if self._test_start is not None and text.startswith("Test loss: "):
            self._test_end = now
            return []
        self._leave_test()
        iteration = _ITERATION.match(text)
        return self._take_iteration(int(iteration[1]), iteration[2], now) if iteration else []

    def close(self) -> list[Record]:
        """Return the record that is still open, if it holds any value."""
        record, self._record = self._record, None
        return [_ordered(record)] if record and len(record) > 2 else []

    def _advance(self, match: re.Match[str]) -> float:
        month, day, hour, minute, second, microsecond = (int(match[i]) for i in range(2, 8))
        try:
            # the line has no year; 2000, a leap year, has every date
            when = datetime(2000, month, day, hour, minute, second, microsecond)
        except ValueError:  # the line is damaged: it does not advance the clock
            return self._clock or 0.0
        if self._when is not None and self._clock is not None:
            step = when - self._when
            if step < timedelta(days=-180):
                step += timedelta(days=366)
            dates = [(each.month, each.day) for each in (self._when, when)]
            if dates == [(2, 28), (3, 1)]:  # most years have no day between them
                step -= timedelta(days=1)
            self._clock += max(step.total_seconds(), 0.0)
        self._when = when
        return self._clock or 0.0

    def _take_iteration(self, number: int, rest: str, now: float) -> list[Record]:
        done: list[Record] = []
        loss, rate, testing = _LOSS.match(rest), _RATE.match(rest), _TESTING.match(rest)
        if not (loss or rate or testing):
            return done
        if self._record is None or self._record["iteration"] != number:
            done = self.close()
            self._record = {"iteration": number}
        if testing:
            self._prefix = "val_" if testing[1] == "0" else f"val{testing[1]}_"
            self._test_start = self._test_end = now
        elif loss:
            self._record["train_loss"] = _number(loss[1])
            self._take_speed(self._record, now)
        elif rate:
            self._record["lr"] = _number(rate[1])
        self._record["seconds"] = round(self._seconds + now, 3)
        if rate:  # the last line of a displayed iteration
            done += self.close()
        return done

    def _take_speed(self, record: Record, now: float) -> None:
        if self._display is not None and self._batch_size:
            iterations = record["iteration"] - self._display[0]
            elapsed = now - self._display[1] - self._testing
            if iterations > 0 and elapsed > 0:
                rate = iterations * self._batch_size / elapsed
                record["images_per_second"] = round(rate, 1)
        self._display = (record["iteration"], now)
        self._testing = 0.0

    def _take_output(self, output: re.Match[str], now: float) -> None:
        assert self._record is not None
        if output[1] == "Test":
            self._test_end = now
            key = self._prefix + output[2]
        else:
            key = "train_" + output[2]
        if key != "train_loss":
            self._record.setdefault(key, _number(output[3]))
        self._record["seconds"] = round(self._seconds + now, 3)

    def _leave_test(self) -> None:
        if self._test_start is not None:
            self._testing += self._test_end - self._test_start
            self._test_start = None


def _ordered(record: Record) -> Record:
    first = [key for key in ("iteration", "lr", "train_loss") if key in record]
    last = [key for key in ("images_per_second", "seconds") if key in record]
    middle = [key for key in record if key not in first and key not in last]
    return {key: record[key] for key in (*first, *middle, *last)}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # "-nan(ind)" and the like
        return None
    return value if math.isfinite(value) else None


def read_history(path: Path) -> list[Record]:
    """Return the records of ``history.jsonl``; [] if there is no such file.

    A last line that a kill cut off is left out.  Raises TinynetError, which names file and line, if
    a record is damaged: the records before it are not the whole history.
    """
    records, fault = scan_history(path)
    if fault is None:
        return records
    if RunPaths(path.parent).log.exists():
        raise TinynetError(f"{fault}; 'tinynet train {path.parent}' makes it again from train.log")
    raise TinynetError(f"{fault}; take the file again from the run that it was copied from")


def scan_history(path: Path) -> tuple[list[Record], str | None]:
    """Return the records before the first damaged line, and that damage as "FILE:LINE: …" or None.

    Text after the last newline counts as no damage: a killed process was about to write it.
    """
    records: list[Record] = []
    try:
        *lines, unfinished = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return records, None
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is None:
            return records, f"{path}:{number}: is damaged: not a history record"
        records.append(record)
    last = _record(unfinished)
    return records + ([] if last is None else [last]), None


def _record(line: str) -> Record | None:
    """The record in a line; None if it is not a sound record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or type(record.get("iteration")) is not int:
        return None
    values = [value for value in record.values() if value is not None]
    is_sound = all(type(value) in (int, float) and math.isfinite(value) for value in values)
    return record if is_sound and record["iteration"] >= 0 else None


def append_history(path: Path, records: Iterable[Record]) -> None:
    """Append records to the history, one per line, with a single write."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if lines:
        with files.name_in_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(lines)


def cut_torn_line(log: Path) -> None:
    """Remove an incomplete last line, which a full disk or a power cut leaves, from a log.

    Otherwise the next line would be appended to it, and its iteration misread.  Does nothing if
    there is no log.
    """
    try:
        with log.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - _BLOCK)
                file.seek(start)
                whole = file.read(end - start).rfind(b"\n") + 1
                if whole:
                    file.truncate(start + whole)
                    return
                end = start
            file.truncate(0)
    except FileNotFoundError:
        return


def rebuild_history(log: Path, batch_size: int = 0) -> list[Record]:
    """Parse a whole ``train.log``, resumed sessions included; [] if there is no log."""
    records: list[Record] = []
    parser = LogParser(batch_size)
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return records
    for line in lines:
        match = _GLOG.match(line)
        if not (match and (match[10].startswith(OWN) or match[9].startswith(_FORMER_DRIVER))):
            records += parser.feed(line)
            continue
        # the parser of a running session does not see the driver's own lines either
        resuming = _RESUMING.match(match[10])
        if resuming is None:
            continue
        records = _before(records + parser.close(), int(resuming[1]))
        parser = LogParser(batch_size, records[-1].get("seconds", 0.0) if records else 0.0)
    return records + parser.close()


def _before(records: Iterable[Record], iteration: int) -> list[Record]:
    return [record for record in records if record["iteration"] < iteration]


def missing_displays(records: Iterable[Record], display: int, iteration: int) -> list[int]:
    """Iterations before ``iteration`` that the solver displays but that have no record."""
    seen = {record["iteration"] for record in records if "train_loss" in record}
    return [n for n in range(0, iteration, display) if n not in seen] if display > 0 else []


def truncate_history(path: Path, iteration: int) -> list[Record]:
    """Keep the records before ``iteration``, where a run is about to resume, and return them.

    The solver tests and displays iteration N before its update, and a snapshot at N comes after
    update N - 1, so a run that resumes there tests and displays N again.  Records after a damaged
    one are removed too.
    """
    kept = _before(scan_history(path)[0], iteration)
    write_history(path, kept)
    return kept


def write_history(path: Path, records: Iterable[Record]) -> None:
    """Write the whole history atomically."""
    files.write_text(path, "".join(json.dumps(record) + "\n" for record in records))
