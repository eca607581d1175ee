"""Shows a run's progress: one live line on a terminal, the log's lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tqdm import tqdm

from tinynet import files
from tinynet.run.log import Record

# tqdm itself puts a comma before the postfix
_FORMAT = "{desc}: {n_fmt}/{total_fmt} |{bar:20}| {remaining} left{postfix}"


class Progress:
    """Shows iteration, loss, validation accuracy, images/s and time left.

    Output that cannot be written is dropped: it never ends a training.
    """

    def __init__(
        self,
        title: str,
        first: int,
        last: int,
        quiet: bool = False,
        stream: TextIO | None = None,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        """``on_record`` is called with every record; a notebook draws them."""
        self._on_record = on_record
        self._stream = stream or sys.stderr
        self._lines = not quiet and not self._stream.isatty()
        self._values: dict[str, str] = {}
        self._solving = False
        self._bar: Any = None
        if not quiet and not self._lines:
            self._bar = tqdm(
                total=last,
                initial=first,
                desc=title,
                bar_format=_FORMAT,
                file=self._stream,
                dynamic_ncols=True,
                leave=False,
            )

    def iteration(self, number: int) -> None:
        """Advance the live line to an iteration."""
        if self._bar is not None and number > self._bar.n:
            with self._showing():
                self._bar.update(number - self._bar.n)

    def record(self, record: Record) -> None:
        """Show the newest values of the history."""
        if self._on_record is not None:
            self._on_record(record)
        if record.get("train_loss") is not None:
            self._values["loss"] = f"loss {record['train_loss']:.4g}"
        if record.get("val_accuracy") is not None:
            self._values["val"] = f"val {100 * record['val_accuracy']:.1f} %"
        if record.get("images_per_second") is not None:
            self._values["speed"] = f"{record['images_per_second']:.0f} img/s"
        if self._bar is not None:
            ordered = [self._values[key] for key in ("loss", "val", "speed") if key in self._values]
            self._bar.set_postfix_str(", ".join(ordered), refresh=False)
            self.iteration(record["iteration"])
            with self._showing():
                self._bar.refresh()

    def log_line(self, line: str) -> None:
        """Show a line of the log: only warnings above the live line, every line elsewhere.

        INFO lines from before the solving, hundreds about the nets' set-up, stay in the log file.
        """
        self._solving = self._solving or "] Solving " in line
        severity = line[:1] if line[1:5].isdigit() else ""
        if (
            self._bar is not None
            and severity == "W"
            or self._lines
            and (self._solving or severity in ("W", "E", "F"))
        ):
            self.message(line)

    def message(self, text: str) -> None:
        """Print a line, above the live line if there is one."""
        with self._showing():
            if self._bar is not None:
                self._bar.write(text, file=self._stream)
            else:
                print(text, file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            with self._showing():
                self._bar.close()

    @contextlib.contextmanager
    def _showing(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # a broken connection closed the terminal, or a pager was quit
            files.discard_output(self._stream)
        except RuntimeError:  # a signal's message came during a write: Python refuses to reenter
            pass
