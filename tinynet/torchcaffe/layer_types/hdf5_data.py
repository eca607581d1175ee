"""HDF5Data: batches from HDF5 files, a dataset for each top (src/caffe/layers/hdf5_data_layer.cpp).

``source`` lists the names of the files, separated by blanks.  Each top shows the dataset of its own
name, whose first axis counts rows; all datasets of a file have the same number of rows.  Rows are
read file after file, and from the first file again after the last.  With ``shuffle``, the order of
the files, and of the rows in a file, is drawn from C's rand() (c_rand.py), as in Caffe: not from
random_seed.

A file is read whole, and stays in memory until the next file is read.  Needs h5py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import read_file
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.random_numbers import c_rand
from tinynet.torchcaffe.reading.shard import Shard
from tinynet.torchcaffe.reading.upload import upload
from tinynet.torchcaffe.snapshots import hdf5


@register("HDF5Data")
class HDF5Data(Layer):
    num_bottom = (0, 0)
    num_top = (1, None)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.hdf5_data_param
        self.require(
            not self.param.HasField("transform_param"),
            "does not transform data: it takes no transform_param",
        )
        self.require(param.batch_size > 0, "batch_size must be given and positive")
        hdf5.require()
        self._batch_size, self._shuffle = param.batch_size, param.shuffle
        self._files = self._listed(param.source)
        self._file_order = list(range(len(self._files)))
        if self._shuffle:
            c_rand.PROCESS.shuffle(self._file_order)
        self._file = 0  # index into the order of the files
        self._rows: list[np.ndarray] = []  # the current file's datasets, one per top
        self._row_order: list[int] = []
        self._row = 0  # index into the order of the rows
        self._open(len(top))
        if self._shuffle:
            c_rand.PROCESS.shuffle(self._row_order)
        shard = Shard.of_phase(self.phase)
        self._step = shard.step
        for _ in range(shard.first):
            self._next()
        for above, rows in zip(top, self._rows):
            above.resize((self._batch_size, *rows.shape[1:]))

    def _listed(self, source: str) -> list[str]:
        glog.info(f"Loading list of HDF5 filenames from: {source}")
        names = [name.decode(errors="surrogateescape") for name in read_file(source).split()]
        glog.info(f"Number of HDF5 files: {len(names)}")
        self.require(len(names) > 0, f"{source} must list at least one HDF5 file")
        return names

    def _open(self, tops: int) -> None:
        """Read the current file; its rows come in their stored order."""
        path = self._files[self._file_order[self._file]]
        rows = hdf5.load_datasets(path, list(self.param.top)[:tops])
        counts = [len(values) for values in rows]
        self.require(
            min(counts) == max(counts) > 0,
            f"the datasets of {path} must have the same number of rows, at least one; got "
            f"{', '.join(map(str, counts))}",
        )
        if self._rows:
            before = [values.shape[1:] for values in self._rows]
            found = [values.shape[1:] for values in rows]
            self.require(
                before == found,
                f"the rows of all files must have the same shapes, {before}; those of {path} have "
                f"{found}",
            )
        self._rows = rows
        self._row = 0
        self._row_order = list(range(counts[0]))

    def _next(self) -> None:
        """Go to the next row, and after a file's last row to the next file."""
        self._row += 1
        if self._row < len(self._row_order):
            return
        self._row = 0
        if len(self._files) > 1:
            self._file += 1
            if self._file == len(self._files):
                self._file = 0
                if self._shuffle:
                    c_rand.PROCESS.shuffle(self._file_order)
            self._open(len(self._rows))
            # Caffe shuffles the rows of the next file twice, those of the first file only once
            if self._shuffle:
                c_rand.PROCESS.shuffle(self._row_order)
        if self._shuffle:
            c_rand.PROCESS.shuffle(self._row_order)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """The shapes never change."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        batches = [np.empty((self._batch_size, *rows.shape[1:]), np.float32) for rows in self._rows]
        done = 0
        while done < self._batch_size:
            # as many rows as the file still has; ``_next`` steps on from the last of them, since
            # that step may lead into another file
            end = self._row + (self._batch_size - done) * self._step
            taken = self._row_order[self._row : end : self._step]
            for batch, rows in zip(batches, self._rows):
                batch[done : done + len(taken)] = rows[taken]
            done += len(taken)
            self._row += (len(taken) - 1) * self._step
            for _ in range(self._step):
                self._next()
        for above, batch in zip(top, batches):
            above.resize(batch.shape)
            above.set_data(upload(batch, self.device))

    def state(self) -> dict[str, Any]:
        """Which row of which file comes next; with ``shuffle`` also the orders and the stream."""
        found: dict[str, Any] = {"files": len(self._files), "file": self._file, "row": self._row}
        if self._shuffle:
            found["file_order"], found["row_order"] = [*self._file_order], [*self._row_order]
            found["rand"] = c_rand.PROCESS.state()
        return found

    def set_state(self, state: dict[str, Any]) -> None:
        files = len(self._files)
        file, row = state.get("file"), state.get("row")
        self.require(
            state.get("files") == files
            and isinstance(file, int)
            and 0 <= file < files
            and isinstance(row, int),
            f"the position is one in {state.get('files')} files, but there are {files} here",
        )
        self.require(
            ("rand" in state) == self._shuffle,
            f"the position is that of a layer {'with' if 'rand' in state else 'without'} shuffle",
        )
        assert isinstance(file, int) and isinstance(row, int)
        file_order = state.get("file_order", self._file_order)
        self._require_order(file_order, files)
        self._file, self._file_order = file, list(file_order)
        self._open(len(self._rows))
        row_order = state.get("row_order", self._row_order)
        self._require_order(row_order, len(self._row_order))
        self.require(0 <= row < len(row_order), f"the file has no row {row}")
        self._row, self._row_order = row, list(row_order)
        if self._shuffle:
            c_rand.PROCESS.set_state(state["rand"])

    def _require_order(self, order: Any, count: int) -> None:
        try:
            fits = sorted(order) == list(range(count))
        except TypeError:
            fits = False
        self.require(fits, f"the position's order does not have the numbers 0 to {count - 1}")
