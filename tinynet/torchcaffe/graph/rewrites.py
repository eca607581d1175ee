"""Rewrites of a net's prototxt, from what the user wrote to the list of layers that runs.

There are two, as in Caffe.  Layers whose rules exclude the net's state are removed
(``Net::FilterNet``).  A blob that several layers read goes to a Split layer, and they read its tops
instead, so that each diff has one writer (``util/insert_splits.cpp``).  Old formats are upgraded
earlier, where a net is read: see ``net_files``.
"""

from __future__ import annotations

import difflib
from collections import Counter

from tinynet.caffeformat import phases, schema
from tinynet.caffeformat.without_effect import fields_without_effect
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, as_caffe_errors, name_layer_in_errors


def prepare(net: schema.NetParameter) -> schema.NetParameter:
    """Return the NetParameter that runs, for the state that ``net`` names."""
    filtered = filter_layers(net)
    for layer in filtered.layer:
        for what in fields_without_effect(layer):
            glog.warning(what)
    glog.info(f"Initializing net from parameters: \n{glog.parameters(filtered)}")
    return insert_splits(filtered)


def filter_layers(net: schema.NetParameter) -> schema.NetParameter:
    """Keep the layers whose include/exclude rules admit the net's state (``phases.runs``)."""
    kept = schema.NetParameter()
    kept.CopyFrom(net)
    kept.ClearField("layer")
    with as_caffe_errors():
        kept.layer.extend(x for x in net.layer if phases.runs(x, net.state, glog.info))
    return kept


def insert_splits(net: schema.NetParameter) -> schema.NetParameter:
    """Add a Split after each top that is read more than once; its use as a loss counts as one.

    Scripts see the names, which are Caffe's: ``BLOB_LAYER_TOPINDEX_split`` for the layer, and the
    same with ``_K`` for its tops.
    """
    source = _sources_of_bottoms(net)
    readers = Counter(source.values())
    loss_weight: dict[tuple[int, int], float] = {}
    for i, layer in enumerate(net.layer):
        for j, weight in zip(range(len(layer.top)), layer.loss_weight):
            if weight:
                loss_weight[i, j] = weight
                readers[i, j] += 1

    split = schema.NetParameter()
    split.CopyFrom(net)
    split.ClearField("layer")
    used: Counter[tuple[int, int]] = Counter()  # tops of each Split already given to a reader
    for i, original in enumerate(net.layer):
        layer = split.layer.add()
        layer.CopyFrom(original)
        for j, blob in enumerate(original.bottom):
            top = source[i, j]
            if readers[top] > 1:
                layer.bottom[j] = f"{_split_name(net, top, blob)}_{used[top]}"
                used[top] += 1
        for j, blob in enumerate(original.top):
            count = readers[i, j]
            if count <= 1:
                continue
            name = _split_name(net, (i, j), blob)
            added = split.layer.add(name=name, type="Split", bottom=[blob])
            added.top.extend(f"{name}_{k}" for k in range(count))
            if (i, j) in loss_weight:
                added.loss_weight.extend([loss_weight[i, j]] + [0.0] * (count - 1))
                layer.ClearField("loss_weight")
                used[i, j] += 1
    return split


def _split_name(net: schema.NetParameter, top: tuple[int, int], blob: str) -> str:
    layer_index, top_index = top
    return f"{blob}_{net.layer[layer_index].name}_{top_index}_split"


def _sources_of_bottoms(net: schema.NetParameter) -> dict[tuple[int, int], tuple[int, int]]:
    """Map each (layer, bottom) to the (layer, top) that it reads: the last before it so named."""
    last_top: dict[str, tuple[int, int]] = {}
    source: dict[tuple[int, int], tuple[int, int]] = {}
    for i, layer in enumerate(net.layer):
        for j, blob in enumerate(layer.bottom):
            if blob not in last_top:
                with name_layer_in_errors(layer):
                    near = difflib.get_close_matches(blob[:80], last_top, 1)
                    hint = f"; did you mean '{near[0]}'?" if near else ""
                    phase = "TRAIN" if net.state.phase == schema.TRAIN else "TEST"
                    raise CaffeError(
                        f"layer {layer.name}: unknown bottom blob '{blob}': in phase {phase} no "
                        f"layer before it makes it{hint}"
                    )
            source[i, j] = last_top[blob]
        for j, blob in enumerate(layer.top):
            last_top[blob] = (i, j)
    return source
