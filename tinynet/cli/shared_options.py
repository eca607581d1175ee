"""Options that several commands have: one name, one form, one meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tinynet.errors import UsageError
from tinynet.experiment.hyperparameters import LARGEST_COUNT, LARGEST_SEED
from tinynet.experiment.paths import PROTOTXT_ROOT
from tinynet.files import component_fault

Option = Callable[[Any], Any]


class Finite(click.types.FloatParamType):
    """A number that a float32 holds, as Caffe's fields must."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if not (math.isfinite(number) and abs(number) <= 3.4e38):
            self.fail(f"{value!r} is no finite number", param, ctx)
        if 0 < abs(number) < 1.2e-38:  # FLT_MIN: what is less has not all its digits, or none
            self.fail(f"{value!r} is too near to 0 for a float32", param, ctx)
        return number


class FiniteRange(click.FloatRange, Finite):
    """Such a number in a range; no comparison with nan would refuse it."""

    name = Finite.name


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


def example(command: str) -> str:
    """The epilog of a command's help: an example on a line of its own, however long it is."""
    return f"\b\nExample:\n  {command}"


EITHER = "Real Caffe, or Caffe's semantics on torch; auto: torch where it is installed."


def engine(help_line: str = EITHER) -> Option:
    """``--engine auto|caffe|torch``."""
    return click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="auto|caffe|torch",
        help=help_line,
    )


def gpu(does: str) -> Option:
    """``--gpu N``; ``does`` is the command's verb: "Train on"."""
    return click.option("--gpu", type=click.IntRange(min=0), metavar="N", help=f"{does} GPU N.")


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

    Raises UsageError where an assignment has another form, or a field is given two values.
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
    type=click.Path(path_type=Path),
    default=PROTOTXT_ROOT,
    show_default=True,
    metavar="DIR",
    help="Where the generated stages lie.",
)


def engine_words(
    name: str | None, caffe_python: str | None, cpu: bool = False, gpu: int | None = None
) -> list[str]:
    """The options once more, as a command that is started with them takes them."""
    words = ["--engine", name] if name and name != "auto" else []
    words += ["--caffe-python", caffe_python] if caffe_python is not None else []
    words += ["--gpu", str(gpu)] if gpu is not None else []
    return words + (["--cpu"] if cpu else [])
