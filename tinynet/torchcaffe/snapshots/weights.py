"""Saving, loading and sharing a net's weights, by layer name as Caffe does.

Defined by ``Net::ToProto``, ``CopyTrainedLayersFrom`` and ``ShareTrainedLayersWith``
(src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinynet import files
from tinynet.caffeformat import blob_proto, schema
from tinynet.torchcaffe import glog, net_files
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.snapshots import hdf5, stored_blobs


def save(net: NetGraph, path: str | Path, write_diff: bool = False) -> None:
    """Write the net with its weights, and their diffs if asked to, as a .caffemodel."""
    message = schema.NetParameter(name=net.name)
    layer_field = blob_proto.field_number(schema.NetParameter, "layer")
    parts = [message.SerializeToString()]
    for layer in net.layers:
        blobs = [
            (blob.tensor.cpu().numpy(), blob.grad.cpu().numpy() if write_diff else None)
            for blob in layer.blobs
        ]
        encoded = blob_proto.encode_all(layer.param, "blobs", blobs)
        parts.append(blob_proto.length_delimited(layer_field, encoded))
    files.write_bytes(path, b"".join(parts))


def load(net: NetGraph, path: str | Path) -> None:
    """Load weights from a .caffemodel, or from an HDF5 file as ``save_hdf5`` writes it.

    Raises CaffeError for a file that is neither, or whose shapes differ.
    """
    if hdf5.is_hdf5(path):
        hdf5.load_weights(net, path)
    else:
        _load_message(net, net_files.read_caffemodel(path), str(path))


def _load_message(net: NetGraph, message: schema.NetParameter, source: str) -> None:
    """Load weights from an up-to-date NetParameter, read from ``source``.

    Layers that the net does not have are ignored.
    """
    blobs = _blobs_by_layer(net)
    taken = 0
    for stored in message.layer:
        if stored.name not in blobs:
            glog.info(f"Ignoring source layer {stored.name}")
            continue
        target = blobs[stored.name]
        check(
            len(target) == len(stored.blobs),
            f"{source}: incompatible number of blobs for layer {stored.name}: the file has "
            f"{len(stored.blobs)}, the net {len(target)}{stored_blobs.RENAME}",
        )
        for j, blob in enumerate(stored.blobs):
            what = f"param {j} of layer '{stored.name}' from {source}"
            stored_blobs.load(target[j], blob, what, stored_blobs.RENAME)
        taken += len(target)
    names = [layer.name for layer in message.layer]
    stored_blobs.warn_where_none_is_taken(taken, net.name, names, source)


def share(net: NetGraph, other: NetGraph) -> None:
    """Let ``net`` use ``other``'s parameters, without copying them."""
    targets = _blobs_by_layer(net)
    for layer in other.layers:
        if layer.name not in targets:
            glog.info(f"Ignoring source layer {layer.name}")
            continue
        target = targets[layer.name]
        shapes, source_shapes = ([blob.shape for blob in x] for x in (target, layer.blobs))
        check(
            shapes == source_shapes,
            f"cannot share the weights of layer '{layer.name}': the shapes are {source_shapes}, "
            f"and this net's {shapes}",
        )
        for blob, source in zip(target, layer.blobs):
            blob.share_data(source)


def _blobs_by_layer(net: NetGraph) -> dict[str, Sequence[Blob]]:
    """The parameters of each layer; where layers have one name, those of the first, as in Caffe."""
    found: dict[str, Sequence[Blob]] = {}
    for layer in net.layers:
        found.setdefault(layer.name, layer.blobs)
    return found
