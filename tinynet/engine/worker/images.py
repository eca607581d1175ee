"""The images of ``worker predict``: from stdin, or from an LMDB if the engine can read it.

Either way they are batches of uint8, N x C x H x W.  Real Caffe offers no such reader to Python,
and its interpreter may be too old for ours, so its images come through stdin.
"""

import queue
import sys
import threading

import numpy as np

from tinynet.errors import TinynetError

_AHEAD = 2  # batches to read ahead while the net computes


def from_stdin(shape, count, batch):
    """Yield the ``count`` images of ``shape`` (C, H, W) on stdin, ``batch`` at a time."""
    for start in range(0, count, batch):
        wanted = (min(batch, count - start),) + tuple(shape)
        size = int(np.prod(wanted))
        data = sys.stdin.buffer.read(size)
        if len(data) != size:
            # happens only if the parent has gone
            raise TinynetError(
                "the images ended early, in the batch that begins with number %d" % start
            )
        yield np.frombuffer(data, dtype=np.uint8).reshape(wanted)


class FromLmdb(object):
    """The images of an LMDB in batches, read by a thread ahead of the net.

    ``labels``: int64, one per image; complete once the last batch has been taken.
    """

    def __init__(self, read_images, source, shape, count, batch, classes, chosen):
        """``read_images``: that of the engine's extensions.

        ``source``, ``shape``, ``classes`` and ``chosen`` are its arguments.
        """
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
        except BaseException as error:  # raised again in __iter__, by the thread of the net
            self._ready.put(error)
        else:
            self._ready.put(None)

    def _read_all(self):
        count, shape = len(self.labels), self._arguments[1]
        number = 0
        for pixels, label in self._read_images(*self._arguments):
            index = number % self._batch
            if index == 0:
                batch = np.empty((min(self._batch, count - number),) + shape, np.uint8)
            batch[index] = pixels
            self.labels[number] = label
            number += 1
            if index + 1 == len(batch):
                self._ready.put(batch)
        if number != count:
            raise TinynetError(
                "%s: holds %d of the %d images that it had" % (self._arguments[0], number, count)
            )
