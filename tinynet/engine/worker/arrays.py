"""Arrays that a worker leaves for its parent: a full disk is said as such, with the file's name."""

import contextlib

import numpy as np


@contextlib.contextmanager
def written(path):
    """Open ``path`` to be written; an OSError that does not say where leaves with its name."""
    try:
        with open(path, "wb") as stream:
            yield stream
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, path) from None


def save(path, values):
    """Write an array as an .npy file.  Raises OSError, which names it."""
    with written(path) as stream:
        np.save(_Plain(stream), values)


class _Plain(object):
    """What numpy takes for no file: to a file it writes by itself, and says not why it fails."""

    def __init__(self, stream):
        self.write = stream.write
