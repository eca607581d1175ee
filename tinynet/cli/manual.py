"""``tinynet manual``."""

from __future__ import annotations

import sys

import click

from tinynet.cli import shared_options


@click.command(epilog=shared_options.example("tinynet manual troubleshooting"))
@click.argument("topic", nargs=-1)
def manual(topic: tuple[str, ...]) -> None:
    """Show a page of the documentation, or without a TOPIC the list of pages.

    On a terminal the page is laid out and shown in a pager; elsewhere it is printed as it is
    written, in Markdown.
    """
    from tinynet.manual import page, topics

    if not topic:
        known = topics()
        width = max(map(len, known))
        for name, title in known.items():
            click.echo(f"{name:<{width}}  {title}")
        return
    text = page(" ".join(topic))
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=min(100, Console().width))
    with console.pager(styles=True, links=False):
        console.print(Markdown(text))
