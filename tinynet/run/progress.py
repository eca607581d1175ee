"""What a person sees of a run: one live line on a terminal, the log's lines elsewhere."""

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

    No training ends because it cannot be shown: what nobody can see is lost, and no more.
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
        """``on_record``: a notebook's, which draws what it gets."""
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
        """Move the live line on to an iteration."""
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
        """Pass on a line of the log: above the live line warnings alone, elsewhere all of it.

        The set-up of the nets, hundreds of lines, stays in the log file; what is not INFO does not.
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
        """A line of ours, above the live line."""
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
        except OSError:  # a connection broke, which closed the terminal; or a pager was left
            files.swallow(self._stream)
        except RuntimeError:  # a signal's message in the middle of a write, which Python refuses
            pass
