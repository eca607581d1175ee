"""What the command line adds to Click: a group, path types, former option names, help texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click


class Group(click.Group):
    """A group that lists commands in the order of their definition, and suggests near ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        if command is not None:
            name_values(command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"no command '{args[0]}'; {_suggestion(args[0], known)}")
        return super().resolve_command(ctx, args)


class GivenPath(click.Path):
    """A Path that refuses the empty word, which would mean the current folder."""

    def __init__(self, **how: Any) -> None:
        super().__init__(path_type=Path, **how)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("is empty; name a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


PATH, FOLDER, FILE = GivenPath(), GivenPath(file_okay=False), GivenPath(dir_okay=False)


def example(*commands: str) -> str:
    """The epilog of a command's help: examples, each on a line of its own, however long it is."""
    title = "Example" if len(commands) == 1 else "Examples"
    return "\n  ".join([f"\b\n{title}:", *commands])


def name_values(command: click.Command) -> None:
    """Name the values of all options alike: N a count, X a number, DIR a folder, FILE a file.

    Also show the default of each option that has one and does not say otherwise.
    """
    for param in command.params:
        if isinstance(param, click.Option) and param.show_default is None:
            param.show_default = True
        if isinstance(param.type, click.types.IntParamType):
            param.type.name = "whole number"  # in "is not a valid …"
        if isinstance(param, click.Option) and param.metavar is None and not param.is_flag:
            kind = param.type
            if isinstance(kind, click.types.IntParamType):
                param.metavar = "N"
            elif isinstance(kind, click.types.FloatParamType):
                param.metavar = "X"
            elif isinstance(kind, click.Path):
                param.metavar = "FILE" if not kind.dir_okay else "PATH" if kind.file_okay else "DIR"


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = _near(word, known)
    if near:
        return f"did you mean {_either(near)}?"
    return f"the commands are {', '.join(known)}"


def _near(word: str, known: Sequence[str]) -> list[str]:
    import difflib  # 1 ms, which no other command line needs

    return difflib.get_close_matches(word, known)


def _either(words: Iterable[str]) -> str:
    return " or ".join(f"'{word}'" for word in words)


def no_such_option(error: click.NoSuchOption) -> str:
    """The message for an unknown option, which names near ones that a help page shows."""
    params = [] if error.ctx is None else error.ctx.command.get_params(error.ctx)
    shown = [
        word
        for param in params
        if isinstance(param, click.Option) and not param.hidden
        for word in (*param.opts, *param.secondary_opts)
    ]
    near = _near(error.option_name, shown)
    return f"no option '{error.option_name}'" + (f"; did you mean {_either(near)}?" if near else "")


class RenamedOption(click.Option):
    """An option that also works by its ``former`` names, which no help page shows."""

    def __init__(self, *names: Any, former: Sequence[str], **how: Any) -> None:
        super().__init__(*names, **how)
        self._former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown = self.opts
        self.opts = [*shown, *self._former]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown
