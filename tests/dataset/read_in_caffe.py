"""Read a converted data set with real Caffe; runs in its interpreter (numpy and caffe only).

    CAFFE_PYTHON read_in_caffe.py CONVERTED OUT.npz

OUT.npz: the first batches that Caffe's Data layer gives from each LMDB (``SPLIT_data``,
``SPLIT_label``), one batch after subtracting the mean file (``centred``), and the mean image as
Caffe's own protobuf classes read it (``mean``).
"""

import os
import sys
import tempfile

import caffe
import numpy as np
from caffe.proto import caffe_pb2

BATCH = 4
BATCHES = 3  # goes beyond the end of the small splits: the layer starts again at the first record


def batches(source, transform=""):
    """Data and labels of the first batches of the Data layer."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(
            f'layer {{ name: "data" type: "Data" top: "data" top: "label" {transform} '
            f'data_param {{ source: "{source}" batch_size: {BATCH} backend: LMDB }} }}'
        )
        file.flush()
        net = caffe.Net(file.name, caffe.TEST)
    data, labels = [], []
    for _ in range(BATCHES):
        net.forward()
        data.append(net.blobs["data"].data.copy())
        labels.append(net.blobs["label"].data.copy())
    return np.concatenate(data), np.concatenate(labels)


folder, out = sys.argv[1:]
caffe.set_mode_cpu()
found = {}
for split in ("train", "val", "test"):
    data, label = batches(os.path.join(folder, split + "_lmdb"))
    found[split + "_data"], found[split + "_label"] = data, label
mean_file = os.path.join(folder, "mean.binaryproto")
found["centred"], _ = batches(
    os.path.join(folder, "train_lmdb"), f'transform_param {{ mean_file: "{mean_file}" }}'
)
blob = caffe_pb2.BlobProto()
with open(mean_file, "rb") as file:
    blob.ParseFromString(file.read())
found["mean"] = caffe.io.blobproto_to_array(blob)
np.savez(out, **found)
