"""``tinynet caffe extract_features``: blobs of a net, batch after batch, as databases of Datums."""

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
    """Run BATCHES batches of NET in its TEST phase, and keep blobs of it.

    Every image's part of a blob becomes a Datum of floats, with its number in ten digits as key, in
    the database in the blob's place.  Names are separated by commas.
    """
    from tinynet.engine import discovery, foreground

    arguments = ["tool", "extract_features", "--flags", json.dumps(given)]
    sys.exit(foreground.run(discovery.find_torch(), arguments))
