"""``tinynet caffe extract_features``: write blobs of a net, batch by batch, to databases."""

from __future__ import annotations

import json
import sys

import click

from tinynet.cli import gflags, shared_options


@click.command(
    cls=gflags.Command,
    epilog=shared_options.example(
        "tinynet caffe extract_features net.caffemodel net.prototxt fc7,prob fc7_lmdb,prob_lmdb 10 "
        "lmdb GPU 0"
    ),
)
@click.argument("weights", metavar="WEIGHTS")
@click.argument("net", metavar="NET")
@click.argument("blobs", metavar="BLOB[,…]")
@click.argument("databases", metavar="DB_NAME[,…]")
@click.argument("batches", metavar="BATCHES", type=click.IntRange(min=0))
@click.argument("backend", metavar="lmdb|leveldb")
@click.argument("mode", metavar="[CPU|GPU]", default="CPU")
@click.argument("device", metavar="[DEVICE_ID]", type=click.IntRange(min=0), default=0)
def extract_features(**given: str | int) -> None:
    """Run BATCHES batches of NET in its TEST phase, and write blobs to databases.

    Each image's part of a blob becomes a Datum of floats, whose key is the image's number in ten
    digits.  The first BLOB goes to the first DB_NAME, and so on; names are separated by commas.
    """
    from tinynet.engine import discovery, foreground

    arguments = ["tool", "extract_features", "--flags", json.dumps(given)]
    sys.exit(foreground.run(discovery.find_torch(), arguments))
