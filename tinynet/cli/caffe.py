"""``tinynet caffe``: the command line of Caffe, executed by the torch engine."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable

import click

from tinynet.cli import shared_options

# name: (type, metavar, help); left out of the call, a flag has Caffe's default
FLAGS: dict[str, tuple[Any, str, str]] = {
    "solver": (str, "FILE", "The solver's prototxt (train)."),
    "snapshot": (str, "FILE", "A .solverstate to resume from (train)."),
    "weights": (str, "FILE,…", "Weights to finetune (train) or to score (test)."),
    "model": (str, "FILE", "The net's prototxt (test, time)."),
    "iterations": (shared_options.COUNT, "N", "Batches to run (test, time); default 50."),
    "gpu": (str, "N|all", "Run on GPU N; on the CPU where this is left out."),
    "phase": (click.Choice(["TRAIN", "TEST"]), "TRAIN|TEST", "The net's phase (time)."),
    "level": (int, "N", "The net's level."),
    "stage": (str, "NAME,…", "The net's stages, in Caffe's sense."),
    "sigint_effect": (
        click.Choice(["stop", "snapshot", "none"]),
        "EFFECT",
        "What SIGINT does (train): stop (default), snapshot or none.",
    ),
    "sighup_effect": (
        click.Choice(["stop", "snapshot", "none"]),
        "EFFECT",
        "What SIGHUP does (train): snapshot (default), stop or none.",
    ),
    "minloglevel": (int, "N", "Log messages of this severity and above (0 to 3)."),
    "log_dir": (str, "DIR", "Write the log to files in DIR as well, beside a link caffe.INFO."),
}
# glog's own flags that batch scripts give: as in Caffe, the log goes to stderr in any case
_SWITCHES = ("logtostderr", "alsologtostderr")
_OF_GLOG = (*_SWITCHES, "stderrthreshold", "v")
# spelt as glog spells them
_LEVEL_VARIABLE = "GLOG_minloglevel"
_FOLDER_VARIABLE = "GLOG_log_dir"
_STDERR_VARIABLE = "GLOG_logtostderr"


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    for name in _OF_GLOG:
        command = click.option(f"-{name}", f"--{name}", hidden=True)(command)
    for name, (kind, metavar, text) in reversed(FLAGS.items()):
        command = click.option(f"-{name}", f"--{name}", type=kind, metavar=metavar, help=text)(
            command
        )
    return command


class _WithSwitches(click.Command):
    """Takes switches as gflags does: ``-name``, ``-noname`` or ``-name=VALUE``, never a word more.

    Else the action in ``caffe -logtostderr train`` would be the switch's value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spelt = {f"{dash}{name}": f"--{name}=1" for name in _SWITCHES for dash in ("-", "--")}
        spelt |= {f"{dash}no{name}": f"--{name}=0" for name in _SWITCHES for dash in ("-", "--")}
        return super().parse_args(ctx, [spelt.get(word, word) for word in args])


@click.command(
    cls=_WithSwitches,
    epilog=shared_options.example(
        "tinynet caffe train -solver prototxt/stage1_simple/solver.prototxt -gpu 0"
    ),
)
@click.argument("action", type=click.Choice(["train", "test", "time", "device_query"]))
@_with_flags
def caffe(action: str, **given: Any) -> None:
    """Do what the program `caffe` does: train, test, time or device_query.

    Flags are Caffe's, with one dash or two, with = or a space.  The log on stderr is Caffe's too.
    Exit status: 0 done, 75 stopped by a signal (train), with a snapshot to resume from.
    """
    from tinynet import engines, foreground

    flags = {name: given[name] for name in FLAGS if given[name] is not None}
    flags.setdefault("minloglevel", _level_of_environment())
    if os.environ.get(_FOLDER_VARIABLE):
        flags.setdefault("log_dir", os.environ[_FOLDER_VARIABLE])
    if _is_true(given["logtostderr"] or os.environ.get(_STDERR_VARIABLE)):
        flags.pop("log_dir", None)  # to stderr instead of files: glog's meaning of it
    engine = engines.find_torch()
    sys.exit(foreground.run(engine, ["tool", action, "--flags", json.dumps(flags)]))


def _is_true(value: str | None) -> bool:
    """A truth value as gflags and glog read it; None: not given."""
    return value is not None and value[:1].lower() in ("1", "t", "y")


def _level_of_environment() -> int:
    """glog's own variable, which workers do not inherit: their parents need the whole log."""
    level = os.environ.get(_LEVEL_VARIABLE, "")
    return int(level) if level.isdecimal() else 0
