"""Caffe's programs that write and average databases of images, by their names and flags.

Sources: tools/convert_imageset.cpp and compute_image_mean.cpp.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinynet.cli import gflags, shared_options
from tinynet.cli.click_extensions import PATH


@click.command(
    cls=gflags.Command,
    epilog=shared_options.example(
        "tinynet caffe convert_imageset -resize_height=28 -resize_width=28 images/ list.txt db"
    ),
)
@click.argument("root", metavar="ROOTFOLDER/")
@click.argument("list_file", metavar="LISTFILE", type=PATH)
@click.argument("out", metavar="DB_NAME", type=PATH)
@click.option("--gray", is_flag=True, help="One channel an image.")
@click.option("--shuffle", is_flag=True, help="In another order each time, as in Caffe.")
@click.option("--backend", default="lmdb", metavar="lmdb|leveldb", help="The kind of database.")
@click.option("--resize_width", type=int, default=0, metavar="N", help="0: as it is.")
@click.option("--resize_height", type=int, default=0, metavar="N", help="0: as it is.")
@click.option("--check_size", is_flag=True, help="Refuse images of different sizes.")
@click.option("--encoded", is_flag=True, help="Keep the images' files as they are.")
@click.option("--encode_type", default="", metavar="png|jpg|…", help="Keep images as such files.")
def convert_imageset(root: str, list_file: Path, out: Path, **flags: Any) -> None:
    """Write the images of LISTFILE, lines of `NAME LABEL`, into a new database of Datums.

    ROOTFOLDER/ is put before each NAME as it is, so it needs its slash.

    Records equal those of Caffe's own convert_imageset to the byte, keys and values, unless an
    image has to be encoded anew.  As in Caffe, an image that cannot be read is left out, with an
    error in the log.
    """
    from tinynet.dataset import imageset

    imageset.convert(root, list_file, out, imageset.Options(**flags), gflags.log)


@click.command(
    cls=gflags.Command,
    epilog=shared_options.example("tinynet caffe compute_image_mean train_lmdb mean.binaryproto"),
)
@click.argument("database", metavar="INPUT_DB", type=PATH)
@click.argument("out", metavar="[OUTPUT_FILE]", type=PATH, required=False)
@click.option("--backend", default="lmdb", metavar="lmdb|leveldb", help="The kind of database.")
def compute_image_mean(database: Path, out: Path | None, backend: str) -> None:
    """Compute the mean of the images of a database, and of each channel (in the log).

    OUTPUT_FILE equals that of Caffe's own compute_image_mean to the byte.
    """
    from tinynet.caffeformat import mean
    from tinynet.caffeformat.database import open_database

    def log(message: str) -> None:
        gflags.log("info", message)

    image = mean.mean_of_database(open_database(database, backend), log)
    if out is not None:
        log(f"Write to {out}")
        mean.write_mean(image, out)
    log(f"Number of channels: {len(image)}")
    for channel, value in enumerate(mean.channel_means(image)):
        log(f"mean_value channel [{channel}]: {value:g}")
