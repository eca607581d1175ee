"""The help of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from tinynet.cli.main import cli


def pages(
    command: click.Command, name: str = "tinynet", parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Yield (command, help text) of a command and of all its subcommands."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=80)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from pages(found, below, context)


PAGES = dict(pages(cli))


@pytest.mark.parametrize("command", PAGES)
def test_help_fits_into_80_columns_and_never_shows_none(command: str) -> None:
    for line in PAGES[command].splitlines():
        # a command to be typed stays on one line, however long it is
        assert len(line) <= 80 or line.startswith("    tinynet "), line
        assert "None" not in line, line
