"""``caffe.draw``: a net as a pydot graph, and as an image.

As in pycaffe, graphviz makes the images if pydot and the program ``dot`` are installed.  Otherwise
``caffeformat.net_drawing`` draws SVG and PNG.
Behaviour: ``python/caffe/draw.py``.
"""

from __future__ import annotations

import importlib
import shutil
from typing import Any

from tinynet.caffeformat import net_drawing, schema
from tinynet.torchcaffe.errors import CaffeError, CaffeValueError, as_caffe_errors
from tinynet.torchcaffe.proto import caffe_pb2 as caffe_pb2  # a name of pycaffe's module

# styles of layers, of layers that work in place, and of blobs
LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")
_COLOURS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
}
_NOTHING = '""'


def _pydot() -> Any:
    for name in ("pydotplus", "pydot"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise CaffeError(
        "caffe.draw makes graphs with pydot, which is not installed: pip install pydot; "
        "draw_net_to_file writes .svg and .png without it"
    )


def get_pooling_types_dict() -> dict[int, str]:
    """The names of the pooling methods, by number."""
    values = schema.FIELDS["PoolingParameter"]["pool"].values
    return {number: name for name, number in values.items()}


def get_edge_label(layer: schema.LayerParameter) -> str:
    """The label of the edges from a layer: its batch size or its number of outputs."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return _NOTHING


def get_layer_lr_mult(layer: schema.LayerParameter) -> tuple[float, float]:
    """The lr_mult of a learning layer's weights, and of its bias.

    Raises ValueError for another type of layer, or for more than two params.
    """
    if layer.type not in _LEARNING:
        raise CaffeValueError(f"{layer.type} layers do not have a learning rate multiplier")
    stated = [param.lr_mult for param in layer.param]
    if len(stated) > 2:
        raise CaffeValueError(
            f"Could not parse the learning rate multiplier: layer {layer.name} has "
            f"{len(stated)} params"
        )
    weights, bias = (stated + [1.0, 1.0][len(stated) :])[:2]
    return weights, bias


def get_layer_label(layer: schema.LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    """The text in a layer's box, in double quotes: on one line if the graph is vertical."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    kind = layer.type
    if kind == "Pooling":
        kind += f" {get_pooling_types_dict()[layer.pooling_param.pool]}"
    words = [layer.name, f"({kind})"]
    if layer.type == "Pooling":
        pooling = layer.pooling_param
        window: tuple[int, ...] = (pooling.kernel_size, pooling.stride, pooling.pad)
    elif layer.type in ("Convolution", "Deconvolution"):
        convolution = layer.convolution_param
        window = tuple(
            given[0] if len(given) else default
            for given, default in (
                (convolution.kernel_size, 1),
                (convolution.stride, 1),
                (convolution.pad, 0),
            )
        )
    else:
        window = ()
    words += [f"{name}: {n}" for name, n in zip(("kernel size", "stride", "pad"), window)]
    if display_lrm and layer.type in _LEARNING:
        factors = get_layer_lr_mult(layer)
        if any(factors):
            words.append("lr mult: {:.1f}, {:.1f}".format(*factors))
    return f'"{separator.join(words)}"'


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of a layer's box."""
    return _COLOURS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def _is_in_phase(layer: schema.LayerParameter, phase: int | None) -> bool:
    """Whether pycaffe draws the layer; it ignores rules of level and stage."""
    if phase is None:
        return True
    if len(layer.include) and len(layer.exclude):
        raise CaffeValueError(f"layer {layer.name} has both include and exclude specified.")
    included = not len(layer.include) or any(rule.phase == phase for rule in layer.include)
    return included and all(rule.phase != phase for rule in layer.exclude)


def get_pydot_graph(
    caffe_net: schema.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """The net as a pydot graph, with nodes for layers and for blobs.

    Raises CaffeError if neither pydotplus nor pydot is installed.
    """
    pydot = _pydot()
    graph = pydot.Dot(caffe_net.name or "Net", graph_type="digraph", rankdir=rankdir)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str, str]] = []
    for layer in caffe_net.layer:
        if not _is_in_phase(layer, phase):
            continue
        own = f"{layer.name}_{layer.type}"
        if len(layer.bottom) == len(layer.top) == 1 and layer.bottom[0] == layer.top[0]:
            style = NEURON_LAYER_STYLE
        else:
            style = {**LAYER_STYLE_DEFAULT, "fillcolor": choose_color_by_layertype(layer.type)}
        nodes[own] = pydot.Node(get_layer_label(layer, rankdir, display_lrm), **style)
        for blob in layer.bottom:
            nodes[f"{blob}_blob"] = pydot.Node(blob, **BLOB_STYLE)
            edges.append((f"{blob}_blob", own, _NOTHING))
        for blob in layer.top:
            nodes[f"{blob}_blob"] = pydot.Node(blob)
            label = get_edge_label(layer) if label_edges else _NOTHING
            edges.append((own, f"{blob}_blob", label))
    for node in nodes.values():
        graph.add_node(node)
    for start, end, label in edges:
        graph.add_edge(pydot.Edge(nodes[start], nodes[end], label=label))
    return graph


def draw_net(
    caffe_net: schema.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The image of a NetParameter in the format ``ext``; ``raw`` is graphviz's own text.

    Without graphviz the formats are ``svg`` and ``png``, in which ``display_lrm`` shows nothing.
    Raises CaffeError for any other format then, and for a net without layers.
    """
    if shutil.which("dot") or ext not in net_drawing.FORMATS:
        graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
        if ext == "raw":
            return str(graph.to_string()).encode()
        if not shutil.which("dot"):
            raise CaffeError(
                f"the image format {ext} needs graphviz, whose program dot is not on PATH; the "
                f"formats without it are {', '.join(net_drawing.FORMATS)} and raw"
            )
        return bytes(graph.create(format=ext))
    with as_caffe_errors():
        return net_drawing.draw(caffe_net, ext, rankdir, phase)


def draw_net_to_file(
    caffe_net: schema.NetParameter,
    filename: str,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the image of a net; the file's extension is the format (see ``draw_net``)."""
    ext = filename[filename.rfind(".") + 1 :]
    image = draw_net(caffe_net, rankdir, ext, phase, display_lrm)
    with open(filename, "wb") as file:
        file.write(image)
