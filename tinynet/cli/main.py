"""Entry point: finds the module of a command, and turns errors into one line and an exit status.

Commands are named in ``COMMANDS`` with their one-line help, so that ``tinynet --help`` answers
without importing any of them.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click

from tinynet import __version__, files
from tinynet.cli.click_extensions import Group, example, name_values, no_such_option
from tinynet.cli.messages import say
from tinynet.errors import TinynetError, os_error_message

# command: (module in tinynet.cli, help line), in the order in which a new user meets them.
COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": ("doctor", "Say which engines, interpreters, devices and versions are here."),
    "stages": ("stages", "Show the eight stages: change, shapes, parameters, cost, assumptions."),
    "diff": ("stages", "Show what one stage changes in another's prototxt."),
    "data": ("data", "Fetch, draw, verify, convert or split a data set."),
    "generate": ("generate", "Write the stages' net and solver prototxt."),
    "train": ("train", "Train a stage, an ensemble member or any solver.prototxt."),
    "evaluate": ("evaluate", "Score a run on a split, with one crop or with Caffe's ten."),
    "ensemble": ("evaluate", "Average runs and score every subset of them."),
    "predict": ("predict", "Write the submission file of one run or an ensemble."),
    "draw": ("draw", "Draw any net, a box for every layer and blob, as SVG or PNG."),
    "report": ("report", "Write a page on runs: tables, the paper's figures, how to repeat them."),
    "jobs": ("jobs", "Run many trainings: on the GPUs or cores here, or on Slurm or Grid Engine."),
    "parity": ("parity", "Run a solver in both engines from one seed; show how they differ."),
    "dissect": ("dissect", "Train every stage from several seeds, and show each change's gain."),
    "search": ("search", "Search learning rate and weight decay on tuning images."),
    "caffe": ("caffe", "Run Caffe's own command line: caffe train|test|time|device_query."),
    "bench": ("bench", "Measure tinynet here, beside real Caffe and plain PyTorch."),
    "demo": ("demo", "Run the whole experiment in minutes, on drawn images or on yours."),
    "manual": ("manual", "Show a page of the documentation."),
}


# click before 8.2 prints the help by itself
_NO_ARGUMENTS: tuple[type, ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


class LazyGroup(Group):
    """A group whose commands are imported when they are called.

    Each module in ``tinynet.cli`` defines one function per command, of the command's name.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"tinynet.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        name_values(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "tinynet data synthesize --out data/shapes",
        "tinynet data convert data/shapes --out data/lmdb",
        "tinynet generate --data data/lmdb",
        "tinynet train --stage 1",
        "tinynet evaluate runs/stage1_simple/seed1 --oversample",
    ),
)
@click.version_option(__version__, message="tinynet %(version)s")
def cli() -> None:
    """Train, dissect and ensemble the Tiny ImageNet convnets of a 2015 report, in Caffe's files.

    The examples below are the whole path, on a data set drawn on the spot.  'tinynet manual' has
    the documentation.
    """


def _not_utf8(text: str) -> str:
    """The message for a text with lone surrogates: Python read a name that is not UTF-8."""
    line = next(line for line in text.splitlines() if not line.isprintable())
    shown = line.strip()[:300].encode("unicode_escape").decode()
    return f"{shown}: is not UTF-8, and the file to be written must be; rename it"


class _Ended(BaseException):
    """Raised by a signal that would otherwise end the process at once, without cleaning up."""


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended(number)


@contextlib.contextmanager
def _ending_signals_unwind() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave the block by ``_Ended``, unless somebody ignores them.

    Commands that can stop and resume later take these signals themselves while they work.
    """
    before = {
        number: signal.signal(number, _end)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that a shell has closed (``>&-``).

    Otherwise Python has None for the stream, and the next file that is opened takes its number, so
    that children would write to that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _print_every_name() -> None:
    """Let stdout print any file name, and our own ×, in any locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 75 stopped and resumable.

    A signal that ended it gives 128 plus the signal's number.
    """
    _open_standard_streams()
    _print_every_name()
    try:
        with _ending_signals_unwind():
            status = cli.main(args=args, prog_name="tinynet", standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, _NO_ARGUMENTS):
            print(error.format_message(), file=sys.stderr)  # the whole help
            sys.exit(error.exit_code)
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f" (see '{error.ctx.command_path} --help')"
        said = error.format_message()
        if isinstance(error, click.NoSuchOption):
            said = no_such_option(error)
        say(f"tinynet: {said}{hint}")
        status = error.exit_code
    except TinynetError as error:
        say(f"tinynet: {error}")
        status = error.exit_status
    except BrokenPipeError:  # the reader of our output has gone, as under `| head`
        files.discard_output(sys.stdout)
        status = 1
    except OSError as error:
        say(f"tinynet: {os_error_message(error)}")
        status = 1
    except UnicodeEncodeError as error:
        if not any("\ud800" <= sign <= "\udfff" for sign in error.object):
            raise
        say(f"tinynet: {_not_utf8(error.object)}")
        status = 1
    except _Ended as ended:
        say(f"tinynet: ended by {signal.Signals(ended.args[0]).name}")
        status = 128 + ended.args[0]
    except (click.Abort, KeyboardInterrupt):
        say("tinynet: interrupted")
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
