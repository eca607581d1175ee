"""Options that several commands have: one name, one form, one meaning."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from tinynet.cli.click_extensions import PATH
from tinynet.cli.click_extensions import example as example
from tinynet.errors import UsageError
from tinynet.experiment.hyperparameters import LARGEST_COUNT, LARGEST_SEED
from tinynet.experiment.paths import PROTOTXT_ROOT
from tinynet.files import component_fault

Option = Callable[[Any], Any]


def all_of(*options: Option) -> Option:
    """Several options as one decorator, in the order in which a help page lists them."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def at_most_one(**given: Any) -> None:
    """Raise UsageError if several of the options were given; 0 is a value, False is none."""
    named = [
        f"--{name}" for name, value in given.items() if value is not None and value is not False
    ]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: choose one")


class Finite(click.types.FloatParamType):
    """A number that a float32 holds, as Caffe's fields must."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if not (math.isfinite(number) and abs(number) <= 3.4e38):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        if 0 < abs(number) < 1.2e-38:  # FLT_MIN: smaller numbers lose digits, or become 0
            self.fail(f"{value!r} is too near to 0 for a float32", param, ctx)
        return number


class FiniteRange(click.FloatRange, Finite):
    """A ``Finite`` number in a range; the range alone would let nan pass."""

    name = Finite.name


class Numbers(click.ParamType):
    """``3`` is number 3, ``1-7`` are seven of them, ``1,3,5-7`` are five: the same everywhere."""

    name = "numbers"

    def __init__(self, largest: int = sys.maxsize) -> None:
        self._largest = largest

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        if isinstance(value, list):
            return value
        found: list[int] = []
        for part in value.split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                self.fail(
                    f"'{value}' is not a list of numbers such as 3, 1-7 or 1,3,5-7", param, ctx
                )
            low, high = int(first), int(last) if dash else int(first)
            if not low <= high < low + 10_000:
                self.fail(f"'{part.strip()}' is not a range of at most 10,000 numbers", param, ctx)
            if high > self._largest:
                self.fail(f"'{part.strip()}' goes beyond {self._largest}", param, ctx)
            found += range(low, high + 1)
        return list(dict.fromkeys(found))


class GpuList(click.ParamType):
    """``4`` (so many), ``0,1`` (these), or ``all``.

    ``takes_uuids``: names of NVML's too, as GPU-6c… and MIG-6c….
    """

    name = "gpus"

    def __init__(self, takes_uuids: bool = False) -> None:
        self._word = r"[0-9]{1,4}" + (r"|(GPU|MIG)-[\w-]+" if takes_uuids else "")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        words = [word.strip() for word in value.split(",")]
        if value != "all" and not all(re.fullmatch(self._word, word) for word in words):
            self.fail(f"{value!r} is not a number of GPUs, a list such as 0,1, or all", param, ctx)
        if value != "all" and len({word.lstrip("0") for word in words}) < len(words):
            self.fail(f"{value!r}: names a GPU twice", param, ctx)
        if len(words) == 1 and not words[0].strip("0"):
            self.fail(f"{value!r}: is how many; GPU 0 alone is --gpu 0", param, ctx)
        return ",".join(words)


class PathComponent(click.ParamType):
    """A word that becomes the name of one folder."""

    name = "name"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        fault = component_fault(value)
        if fault:
            self.fail(f"{value!r} {fault}, and it is to name a folder", param, ctx)
        return value


SEED = click.IntRange(0, LARGEST_SEED)
COUNT = click.IntRange(1, LARGEST_COUNT)
COUNT_OR_NONE = click.IntRange(0, LARGEST_COUNT)


def numbers(
    *names: str, help_line: str, largest: int = sys.maxsize, metavar: str = "N,N-N"
) -> Option:
    """An option of ``Numbers``, which may be given again: their list, each once; [] for none."""

    def joined(ctx: click.Context, param: click.Parameter, given: tuple[list[int], ...]) -> Any:
        return list(dict.fromkeys(number for each in given for number in each))

    return click.option(
        *names,
        type=Numbers(largest),
        multiple=True,
        callback=joined,
        metavar=metavar,
        help=help_line,
    )


def seeds(help_line: str) -> Option:
    """``--seeds 1-3``: a list of seeds, in which a number is that seed and no count."""
    return numbers("--seeds", help_line=help_line, largest=LARGEST_SEED)


ENGINE = click.Choice(["auto", "caffe", "torch"])
EITHER = "Real Caffe, or Caffe's semantics on torch; auto: torch where it is installed."


def engine(help_line: str = EITHER) -> Option:
    """``--engine auto|caffe|torch``."""
    return click.option(
        "--engine", type=ENGINE, default="auto", metavar="auto|caffe|torch", help=help_line
    )


def gpu(does: str) -> Option:
    """``--gpu N``; ``does`` is the command's verb: "Train on"."""
    return click.option("--gpu", type=click.IntRange(min=0), help=f"{does} GPU N.")


def cpu(does: str) -> Option:
    """``--cpu``; ``does`` as for ``gpu``."""
    help_line = f"{does} the CPU, even where there is a GPU."
    return click.option("--cpu", is_flag=True, help=help_line)


caffe_python: Option = click.option(
    "--caffe-python", metavar="PYTHON", help="Interpreter (or environment) with Caffe."
)

assignments: Option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a solver field, as in --set base_lr=0.01 (may be given again).",
)


def overrides(assignments: Sequence[str], **fields: int | None) -> dict[str, str]:
    """What ``--set`` and the options of solver fields ask for: field → text as in a prototxt.

    Raises UsageError if an assignment has another form, or a field is given two values.
    """
    found = {field: str(value) for field, value in fields.items() if value is not None}
    for assignment in assignments:
        field, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise UsageError(f"--set {assignment}: give FIELD=VALUE, as in --set base_lr=0.01")
        if found.get(field, value) != value:
            raise UsageError(
                f"--set {assignment}: {field} is {found[field]} already; choose "
                "one, or give a field that takes several a list, as [1, 2]"
            )
        found[field] = value
    return found


prototxt_root: Option = click.option(
    "--prototxt",
    type=PATH,
    default=PROTOTXT_ROOT,
    metavar="DIR",
    help="Where the generated stages lie.",
)


def engine_words(
    name: str, caffe_python: str | None, cpu: bool = False, gpu: int | None = None
) -> list[str]:
    """These options as words of the command line of another command."""
    words = ["--engine", name] if name != "auto" else []
    words += ["--caffe-python", caffe_python] if caffe_python is not None else []
    words += ["--gpu", str(gpu)] if gpu is not None else []
    return words + (["--cpu"] if cpu else [])
