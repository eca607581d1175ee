"""A hook of mkdocs that writes the reference of the command line from the commands' own help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from mkdocs.structure.files import File

from tinynet.cli.main import cli


def on_files(files: Any, config: Any) -> Any:
    """Add the page ``commands.md``, which no source file holds."""
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def commands_page() -> str:
    """Every command and subcommand with its help, in Markdown."""
    parts = ["# Commands\n"]
    for words, context in _commands(cli, click.Context(cli, info_name="tinynet")):
        parts.append(f"{'#' * (1 + len(words))} {' '.join(words)}\n")
        parts.append(f"```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def _commands(
    group: click.Command, context: click.Context
) -> Iterator[tuple[list[str], click.Context]]:
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield inner.command_path.split(), inner
        yield from _commands(command, inner)
