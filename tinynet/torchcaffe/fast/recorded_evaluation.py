"""Tests and predictions that a GPU records once and then repeats (recorded_passes.py).

The recording of a test has the forward pass, with the cutting of images; summing the scores is not
recorded.  The recording of a prediction has everything between an image's bytes and its
probabilities: the transform, the views and the net.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import parts_of, shape_of
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import first_line
from tinynet.torchcaffe.fast import graphs
from tinynet.torchcaffe.fast.recorded_passes import (
    PLAIN_FIRST,
    RecordedPasses,
    enabled,
    parameters_of,
    unrecordable,
)
from tinynet.torchcaffe.net import Net


class RecordedTest(RecordedPasses):
    """The recordings of one test net's passes."""

    what = "Passes of the test net"

    def work(self) -> None:
        self.use_batches()
        self.loss = self.net.run_forward()

    def compare(self) -> bool:
        def left() -> list[torch.Tensor]:
            assert self.loss is not None
            blobs = self.net.graph.blobs
            return [tensor.clone() for tensor in (*(b.tensor for b in blobs), self.loss)]

        self.graphs.warm_up(self.work)
        expected = left()
        repeat = self.recorded_work()
        repeat()
        self.show_results()
        return self.graphs.same(left(), expected)


class RecordedPredictions:
    """Calls ``work`` on batches of images on a device, or repeats its recording where it can.

    ``refused`` says why there is no recording.  Batches whose shape differs from the first one's,
    as the last batch's often does, are done plainly.
    """

    def __init__(
        self, net: Net, work: Callable[[torch.Tensor], torch.Tensor], device: torch.device
    ) -> None:
        """``work``: runs ``net`` on images; for images of one shape it must do the same steps."""
        self._net, self._work = net, work
        self._graphs: graphs.Graphs | None = None
        self.refused = "switched off"
        self.recorded = 0
        self._logged = False
        if device.type in graphs.BY_DEVICE and enabled():
            self._graphs = graphs.BY_DEVICE[device.type](device)
            self.refused = unrecordable(net)
            if net.has_callbacks:
                self.refused = "it has callbacks or debug_info"
        self._key: Any = None
        self._done = 0  # plain calls with this key
        self._repeat: Callable[[], object] | None = None
        self._images: torch.Tensor | None = None  # the recording's input, which does not move
        self._found: torch.Tensor | None = None
        # memory of blobs that a script looks at, into which the recording writes: it must live as
        # long as the recording, even if a larger batch gives the blobs other memory
        self._written: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return what ``work`` returns; it is valid until the next call."""
        if self._graphs is not None and not self.refused and self._graphs.failed():
            self.refused = self._graphs.failed()
            self._logged = False
            self._forget()
        if self.refused or (self._repeat and images.shape != self._key[0]):
            return self._work(images)
        key = self._current_key(images)
        if key != self._key:
            self._key, self._repeat, self._done = key, None, 0
        if self._repeat is None:
            self._done += 1
            if self._done <= PLAIN_FIRST or not self._record(images):
                return self._work(images)
        assert self._images is not None and self._found is not None and self._repeat is not None
        self._images.copy_(images, non_blocking=True)
        self._repeat()
        return self._found

    def _current_key(self, images: torch.Tensor) -> Any:
        parameters = parameters_of(self._net)
        return (
            images.shape,
            images.dtype,
            CONTEXT.precision,
            [*map(shape_of, parameters)],
            [*map(parts_of, parameters)],
            [blob.tensor.data_ptr() for blob in parameters],
        )

    def _record(self, images: torch.Tensor) -> bool:
        assert self._graphs is not None
        self._images = images.clone()

        def work() -> None:
            assert self._images is not None
            self._found = self._work(self._images)

        try:
            self._graphs.warm_up(work)
            assert self._found is not None
            expected = self._found.clone()
            parts = [part for blob in self._net.graph.blobs for part in parts_of(blob)]
            before = [part.tensor for part in parts]
            self._repeat = self._graphs.record(work)
            self._written = [
                old for part, old in zip(parts, before) if old is not None and part.tensor is old
            ]
            self._repeat()
            if not self._graphs.same([self._found.contiguous()], [expected.contiguous()]):
                self.refused = "its results differ from those of the plain path"
        except torch.cuda.OutOfMemoryError:
            self._forget()
            raise
        except Exception as error:  # whatever it is, the plain path has done the same work before
            self.refused = f"torch cannot record it ({first_line(error)})"
        if self.refused:
            self._forget()
            return False
        self.recorded += 1
        return True

    def _forget(self) -> None:
        self._repeat = self._images = self._found = None
        self._written = []
        self._done = 0

    def log_once(self) -> None:
        """Log once whether predictions are repeated, if the device can repeat work at all."""
        if self._logged or self._graphs is None or not (self.refused or self.recorded):
            return
        self._logged = True
        if self.refused:
            glog.info(f"Predictions are not repeated as a CUDA graph: {self.refused}")
        else:
            glog.info("Predictions are repeated as a CUDA graph, which gave the plain path's bits")
