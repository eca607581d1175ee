"""``tinynet draw``: any net as an image."""

from __future__ import annotations

from pathlib import Path

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH


@click.command(
    epilog=shared_options.example("tinynet draw prototxt/stage7_dropout2/deploy.prototxt net.svg")
)
@click.argument("prototxt", type=PATH, metavar="PROTOTXT")
@click.argument("out", type=PATH, metavar="[OUT.svg|OUT.png]", required=False)
@click.option(
    "--out",
    "named",
    type=PATH,
    metavar="FILE",
    help="The same as OUT, named as in other commands.",
)
@click.option(
    "--direction",
    default="TB",
    metavar="TB|BT|LR|RL",
    help="Which way the net runs: TB is from top to bottom.",
)
@click.option("--phase", metavar="TRAIN|TEST", help="Only the layers of one phase.")
def draw(
    prototxt: Path, out: Path | None, named: Path | None, direction: str, phase: str | None
) -> None:
    """Draw a net of any of Caffe's formats, a box for every layer and blob, as SVG or PNG.

    Without OUT the file is named after PROTOTXT, with .svg, in this folder.  Layers that work in
    place are drawn in their blob's box.  Shapes are shown where the prototxt gives them.
    """
    from tinynet import files
    from tinynet.caffeformat import net_drawing, schema, upgrade
    from tinynet.errors import UsageError

    if phase not in (None, "TRAIN", "TEST"):
        raise UsageError(f"no phase '{phase}'; the phases are TRAIN and TEST")
    if out is not None and named is not None:
        raise UsageError(f"OUT is given twice, as {out} and as --out {named}: give one of them")
    out = out or named or Path(prototxt.stem + ".svg")
    net = upgrade.read_net(prototxt)
    number = None if phase is None else int(getattr(schema, phase))
    files.write_bytes(out, net_drawing.draw(net, out.suffix[1:].lower(), direction, number))
    click.echo(out)
