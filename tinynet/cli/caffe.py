"""``tinynet caffe``: the command line of Caffe, executed by the torch engine."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

import click

from tinynet import __version__
from tinynet.cli import gflags, shared_options
from tinynet.errors import TinynetError


class _Int32(click.ParamType):
    name = "int32"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            number = int(value)
        except ValueError:
            number = 2**31
        if not -(2**31) <= number < 2**31:
            self.fail(f"{value!r} is not a 32-bit integer", param, ctx)
        return number


# name: (type, metavar, help); left out of the call, a flag has Caffe's default
FLAGS: dict[str, tuple[Any, str, str]] = {
    "solver": (str, "FILE", "The solver's prototxt (train)."),
    "snapshot": (str, "FILE", "A .solverstate to resume from (train)."),
    "weights": (str, "FILE,…", "Weights to finetune (train), or to score (test: one file)."),
    "model": (str, "FILE", "The net's prototxt (test, time)."),
    "iterations": (_Int32(), "N", "Batches to run (test, time); default 50."),
    "gpu": (str, "N,…|all", "Run on GPU N, train on several as 0,1; else on the CPU."),
    "solvers": (_Int32(), "N", "Train with N processes on the CPU (not Caffe's)."),
    "phase": (str, "TRAIN|TEST", "The net's phase (time)."),
    "level": (_Int32(), "N", "The net's level."),
    "stage": (str, "NAME,…", "The net's stages, in Caffe's sense."),
    "sigint_effect": (str, "EFFECT", "What SIGINT does (train): stop (default), snapshot or none."),
    "sighup_effect": (str, "EFFECT", "What SIGHUP does (train): snapshot (default), stop or none."),
    "minloglevel": (_Int32(), "N", "Log messages of this severity and above (0 to 3)."),
    "log_dir": (str, "DIR", "Write the log to files in DIR as well, beside a link caffe.INFO."),
}
# spelt as glog spells them
_FOLDER_VARIABLE = "GLOG_log_dir"
_STDERR_VARIABLE = "GLOG_logtostderr"
# of the Caffe whose semantics these are; old scripts look for it
_VERSION = "1.0.0"
ACTIONS = ("train", "test", "time", "device_query")
# the flag of each action that names the file which Caffe reads first
_READ_FIRST = {"train": "solver", "test": "model", "time": "model"}
# Caffe's other programs, which take no flags of gflags', and python: the module in tinynet.cli
PROGRAMS = {
    "run": "caffe_script",
    "convert_imageset": "imageset_tools",
    "compute_image_mean": "imageset_tools",
    "extract_features": "extract_features",
    "upgrade_net_proto_text": "upgrade_tools",
    "upgrade_net_proto_binary": "upgrade_tools",
    "upgrade_solver_proto_text": "upgrade_tools",
}


class _Caffe(gflags.Command):
    """Also starts Caffe's other programs, named in the place of an action."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:  # what Caffe does then, and its exit status
            click.echo(ctx.get_help())
            ctx.exit()
        if args[0] in PROGRAMS:
            _run_program(ctx, *args)
            ctx.exit()
        return super().parse_args(ctx, args)


def _run_program(ctx: click.Context, name: str, *arguments: str) -> None:
    module = importlib.import_module(f"tinynet.cli.{PROGRAMS[name]}")
    program: click.Command = getattr(module, name)
    with program.make_context(f"caffe {name}", list(arguments), parent=ctx.parent) as inner:
        program.invoke(inner)


def _print_version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"caffe version {_VERSION} (tinynet {__version__})")
        ctx.exit()


@click.command(
    cls=_Caffe,
    epilog=shared_options.example(
        "tinynet caffe train -solver prototxt/stage1_simple/solver.prototxt -gpu 0"
    ),
)
@click.argument("actions", nargs=-1, metavar="train|test|time|device_query")
@shared_options.all_of(
    *(
        click.option(f"-{name}", f"--{name}", type=kind, metavar=metavar, help=text)
        for name, (kind, metavar, text) in FLAGS.items()
    )
)
@click.option("--logtostderr/--no-logtostderr", default=None, hidden=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version of Caffe whose semantics these are.",
)
def caffe(actions: tuple[str, ...], **given: Any) -> None:
    """Do what the program `caffe` does: train, test, time or device_query.

    Flags are Caffe's, with one dash or two, with = or a space.  The log on stderr is Caffe's too.

    \b
    Caffe's other programs, each with a --help of its own:
      run SCRIPT.py ARGUMENTS            python; `import caffe` is this engine
      convert_imageset ROOT/ LIST DB     a database of the images in a list
      compute_image_mean DB [FILE]       the mean image of a database
      extract_features WEIGHTS NET …     a net's blobs as a database
      upgrade_net_proto_text IN OUT      a net's prototxt of any age
      upgrade_net_proto_binary IN OUT    weights (.caffemodel) of any age
      upgrade_solver_proto_text IN OUT   a solver with the older solver_type

    \b
    Exit status, and where Caffe's own is another:
      0    done
      1    failed, with one line that says why (Caffe aborts: 134)
      2    wrong use (Caffe: 134, or 1 for a flag; of no iterations, no action
           or two actions it makes nothing, and ends with 0)
      75   stopped by a signal, with a snapshot to resume from (Caffe: 0)
    """
    if len(actions) != 1 or actions[0] not in ACTIONS:
        got = " ".join(actions) or "none"
        raise click.UsageError(f"name one action of {', '.join(ACTIONS)}; got {got}")
    (action,) = actions

    from tinynet.engine import discovery, foreground

    flags = {name: given[name] for name in FLAGS if given[name] is not None}
    _require_first_file(action, flags)
    flags.setdefault("minloglevel", gflags.level())
    if os.environ.get(_FOLDER_VARIABLE):
        flags.setdefault("log_dir", os.environ[_FOLDER_VARIABLE])
    to_stderr = given["logtostderr"]
    if to_stderr is None:
        to_stderr = os.environ.get(_STDERR_VARIABLE, "")[:1].lower() in ("1", "t", "y")
    if to_stderr:
        flags.pop("log_dir", None)  # to stderr instead of files: glog's meaning of it
    engine = discovery.find_torch()
    sys.exit(foreground.run(engine, ["tool", action, "--flags", json.dumps(flags)]))


def _require_first_file(action: str, flags: dict[str, Any]) -> None:
    """Raise TinynetError, before an engine is started, if the file that Caffe reads first is gone.

    The engine checks the others in Caffe's order: it reports a fault of the net before missing
    weights.
    """
    flag = _READ_FIRST.get(action, "")
    path = flags.get(flag, "")
    if path and not os.path.exists(path):
        raise TinynetError(f"could not open file {path}: -{flag} names no file")
