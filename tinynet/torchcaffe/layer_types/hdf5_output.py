"""HDF5Output: writes its two bottoms into a file (src/caffe/layers/hdf5_output_layer.cpp).

The file is created with the net.  The first forward pass writes the datasets ``data`` and ``label``
into it, with four axes each; as in Caffe, there can be no second one.  Needs h5py.
"""

from __future__ import annotations

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.snapshots import hdf5


@register("HDF5Output")
class HDF5Output(Layer):
    num_bottom = (2, 2)
    num_top = (0, 0)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._path = self.param.hdf5_output_param.file_name
        hdf5.save_datasets(self._path, {})  # fails now rather than after the work
        self._written = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """There is no top."""

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self.require(
            bottom[0].num == bottom[1].num,
            f"both bottoms must have the same batch size; got shapes {bottom[0].shape} and "
            f"{bottom[1].shape}",
        )
        self.require(
            not self._written,
            f"{self._path} already holds a batch, and Caffe writes only one per net; make the "
            "batch as large as the data, or load the net again",
        )
        glog.info(f"Saving HDF5 file {self._path}")
        datasets = {
            name: below.tensor.reshape(below.num, below.channels, below.height, below.width)
            for name, below in zip(("data", "label"), bottom)
        }
        hdf5.save_datasets(self._path, {k: v.cpu().numpy() for k, v in datasets.items()})
        self._written = True
        glog.info(f"Successfully saved {bottom[0].num} rows")

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        """There is no top; as in Caffe, the bottoms' diffs stay as they are."""
