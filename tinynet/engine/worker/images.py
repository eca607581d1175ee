"""The images that ``worker predict`` takes: from stdin, or from the LMDB where the engine reads it.

Either way they are uint8, N x C x H x W, in batches.  Real Caffe has no such reader, and its
interpreter may be too old for ours, so that its images come through the pipe.
"""

import queue
import sys
import threading

import numpy as np

from tinynet.errors import TinynetError

_AHEAD = 2  # batches that are read while the net computes


def from_stdin(shape, count, batch):
    """Yield the ``count`` images of ``shape`` (C, H, W) that stdin has, ``batch`` at a time."""
    for start in range(0, count, batch):
        wanted = (min(batch, count - start),) + tuple(shape)
        size = int(np.prod(wanted))
        data = sys.stdin.buffer.read(size)
        if len(data) != size:
            # only because the parent has gone
            raise TinynetError(
                "the images ended early, in the batch that begins with number %d" % start
            )
        yield np.frombuffer(data, dtype=np.uint8).reshape(wanted)


class FromLmdb(object):
    """The images of an LMDB in batches, read by a thread ahead of the net.

    ``labels``: int64, one an image; whole once the last batch has been taken.
    """

    def __init__(self, read_images, source, shape, count, batch, classes, chosen):
        """``read_images``: the engine's own, and its arguments ``source`` to ``chosen``."""
        self._read_images = read_images
        self.labels = np.full(count, -1, np.int64)
        self._arguments = (source, tuple(shape), classes, chosen)
        self._batch = batch
        self._ready = queue.Queue(_AHEAD)  # type: queue.Queue
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self):
        while True:
            found = self._ready.get()
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

    def _read(self):
        try:
            self._read_all()
        except BaseException as error:  # raised again where the batch is taken
            self._ready.put(error)
        else:
            self._ready.put(None)

    def _read_all(self):
        count, shape = len(self.labels), self._arguments[1]
        number = 0
        for pixels, label in self._read_images(*self._arguments):
            place = number % self._batch
            if place == 0:
                batch = np.empty((min(self._batch, count - number),) + shape, np.uint8)
            batch[place] = pixels
            self.labels[number] = label
            number += 1
            if place + 1 == len(batch):
                self._ready.put(batch)
        if number != count:
            raise TinynetError(
                "%s: holds %d of the %d images that it had" % (self._arguments[0], number, count)
            )
