"""Writes arrays for the parent; an error such as a full disk is reported with the file's name."""

import contextlib

import numpy as np


@contextlib.contextmanager
def output_file(path):
    """Open ``path`` for writing, and add its name to an OSError of the block that has none."""
    try:
        with open(path, "wb") as stream:
            yield stream
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, path) from None


def save(path, values):
    """Write an array as an .npy file.  Raises OSError, which names it."""
    with output_file(path) as stream:
        np.save(_WriteOnly(stream), values)


class _WriteOnly(object):
    """Hides the file from numpy, which writes to a real file by itself and drops the errno."""

    def __init__(self, stream):
        self.write = stream.write
