"""If Caffe's layers that move windows, crop, select or repeat abort, ours say why."""

from __future__ import annotations

import re
from typing import Callable

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.refused_nets import X, refused
from tests.torchcaffe.small_nets import Shape, layer, net


def _deconvolution(parameters: str, message: str, *shapes: Shape) -> tuple[str, str]:
    settings = f"convolution_param {{ {parameters} }}"
    return refused("Deconvolution", settings, *(shapes or (X,)), message=message)


def _im2col(parameters: str, message: str, shape: Shape = X) -> tuple[str, str]:
    return refused("Im2col", f"convolution_param {{ {parameters} }}", shape, message=message)


def _crop(parameters: str, message: str, whole: Shape, size: Shape) -> tuple[str, str]:
    return refused("Crop", f"crop_param {{ {parameters} }}", whole, size, message=message)


def _embed(parameters: str, message: str) -> tuple[str, str]:
    return refused("Embed", f"embed_param {{ {parameters} }}", (3,), message=message)


_BILINEAR = 'num_output: 3 group: 3 bias_term: false weight_filler { type: "bilinear" }'

LAYERS = {
    "deconv no num_output": _deconvolution("kernel_size: 1", "num_output must be given"),
    "deconv no kernel": _deconvolution("num_output: 1", "kernel_size must be given once"),
    "deconv kernel 0": _deconvolution("num_output: 1 kernel_size: 0", "must be nonzero"),
    "deconv stride 0": _deconvolution(
        "num_output: 1 kernel_size: 1 stride: 0", "stride must be nonzero"
    ),
    "deconv kernel twice": _deconvolution(
        "num_output: 1 kernel_size: 1 kernel_h: 1 kernel_w: 1", "not both"
    ),
    "deconv group of channels": _deconvolution(
        "num_output: 2 kernel_size: 1 group: 2", "group must divide"
    ),
    "deconv group of outputs": _deconvolution(
        "num_output: 2 kernel_size: 1 group: 3", "group must divide"
    ),
    "deconv all padding": _deconvolution("num_output: 1 kernel_size: 1 pad: 9", "does not fit"),
    "deconv axis": _deconvolution("num_output: 1 kernel_size: 1 axis: 4", "axis 4"),
    "deconv of two shapes": refused(
        "Deconvolution",
        "convolution_param { num_output: 1 kernel_size: 1 }",
        X,
        (2, 3, 4, 4),
        tops="y z",
        message="same shape",
    ),
    "deconv uneven bottoms and tops": _deconvolution(
        "num_output: 1 kernel_size: 1", "as many tops as bottoms; got 2 and 1", X, X
    ),
    "deconv bilinear, not square": _deconvolution(
        f"{_BILINEAR} kernel_h: 2 kernel_w: 3", "square kernels"
    ),
    "deconv bilinear over one axis": _deconvolution(
        f"{_BILINEAR} kernel_size: 2", "4 axes", (2, 3, 4)
    ),
    "im2col no kernel": _im2col("stride: 1", "kernel_size must be given once"),
    "im2col kernel 0": _im2col("kernel_size: 0", "must be nonzero"),
    "im2col stride 0": _im2col("kernel_size: 1 stride: 0", "stride must be nonzero"),
    "im2col nothing spatial": _im2col("kernel_size: 1", "needs a spatial axis", (2, 3)),
    "im2col three pads": _im2col("kernel_size: 1 pad: [1, 1, 1]", "got 3 for 2 axes"),
    "im2col kernel_h over one axis": _im2col(
        "kernel_h: 1 kernel_w: 1", "2-D convolution only", (2, 3, 4)
    ),
    "im2col too big": _im2col("kernel_size: 9", "does not fit"),
    "spp no height": refused("SPP", "", X, message="pyramid_height must be given"),
    "spp too high": refused("SPP", "spp_param { pyramid_height: 3 }", X, message="too many"),
    "spp axes": refused("SPP", "spp_param { pyramid_height: 1 }", (2, 3, 4), message="4 axes"),
    "crop out of bounds": _crop("offset: 3", "axis 3 is out of bounds: offset 3", X, (2, 3, 1, 3)),
    "crop to more": _crop("", "axis 2 is out of bounds: offset 0 and size 5 of 4", X, (2, 3, 5, 5)),
    "crop offsets": _crop("axis: 1 offset: [0, 0]", "got 2 for 3 axes", X, X),
    "crop axis": _crop("axis: 4", "axis 4 is outside", X, X),
    "crop to fewer axes": _crop("", "at least as many axes", X, (2, 3)),
    "crop one bottom": refused("Crop", "", X, message="exactly 2 bottom"),
    "tile no tiles": refused("Tile", "", X, message="tiles must be given and positive; got 0"),
    "tile 0": refused("Tile", "tile_param { tiles: 0 }", X, message="got 0"),
    "tile below 0": refused("Tile", "tile_param { tiles: -2 }", X, message="got -2"),
    "tile axis": refused("Tile", "tile_param { tiles: 2 axis: 4 }", X, message="axis 4"),
    "batch reindex axes": refused("BatchReindex", "", X, (2, 1), message="one axis"),
    "batch reindex to its indices": refused(
        "BatchReindex", "", X, (2,), message="cannot backpropagate to the indices"
    ),
    "batch reindex one bottom": refused("BatchReindex", "", X, message="exactly 2 bottom"),
    "filter one bottom": refused("Filter", "", X, message="2 or more bottom|at least 2 bottom"),
    "filter tops": refused("Filter", "", X, (2,), tops="y z", message="got 2 for 2"),
    "filter selector": refused("Filter", "", X, (2, 3), message="one value per item"),
    "filter items": refused("Filter", "", X, (3,), message="as many items"),
    "filter to its selector": refused(
        "Filter", "", X, (2,), message="cannot backpropagate to the selector"
    ),
    "embed no num_output": _embed("input_dim: 3", "num_output must be given"),
    "embed no input_dim": _embed("num_output: 3", "input_dim must be given"),
    "embed to its indices": _embed(
        "num_output: 3 input_dim: 3", "cannot backpropagate to the indices"
    ),
    "mvn axes": refused("MVN", "", (1, 2, 1, 2, 1), message="at most 4 axes"),
    "threshold backward": refused("Threshold", "", X, message="no backward computation"),
    "stochastic pooling pad": refused(
        "Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 pad: 1 }", X, message="a pad is"
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_where_a_layer_of_real_caffe_aborts_a_caffe_error_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    text, message = LAYERS[case]
    found = both_refuse({"net": text})
    assert "layer l" in found or "filler" in found
    assert re.search(message, found), found


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_beyond_the_batch_is_refused(index: int, both_refuse: Callable[..., str]) -> None:
    given = net(layer("BatchReindex", "x i", "y"), ("x", (4, 2)), ("i", (3,)))
    indices = {"i": np.array([0, index, 3], np.float32)}
    request = {"net": given.replace("force_backward: true", ""), "backward": False}
    assert f"in 0 … 3; got {index}" in both_refuse(request, indices)


@pytest.mark.parametrize("index", [-1.0, 4.0, float("nan"), 1e30])
def test_an_index_beyond_the_weights_is_refused_where_caffe_reads_other_memory(
    index: float,
) -> None:
    given = layer("Embed", "i", "y", "embed_param { input_dim: 4 num_output: 2 }")
    request = {"net": net(given, ("i", (3,)), force_backward=False), "backward": False}
    with pytest.raises(
        torchcaffe.CaffeError, match=rf"in 0 … 3; got {index:g}".replace("+", r"\+")
    ):
        both_engines.answer(torchcaffe, request, {"i": np.array([0, index, 3], np.float32)})


# Caffe gives the blob the top's shape, and then reads it as if it had the bottom's
IN_PLACE = {
    "im2col": ("Im2col", "convolution_param { kernel_size: 2 }", (X,)),
    "spp": ("SPP", "spp_param { pyramid_height: 2 }", (X,)),
    "crop": ("Crop", "", (X, (1, 1, 2, 2))),
    "tile": ("Tile", "tile_param { tiles: 2 }", (X,)),
    "batch reindex": ("BatchReindex", "", (X, (3,))),
    "filter": ("Filter", "", (X, (2,))),
    "embed": ("Embed", "embed_param { input_dim: 4 num_output: 2 }", (X,)),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_a_layer_that_changes_the_shape_cannot_work_in_place(case: str) -> None:
    layer_type, parameters, shapes = IN_PLACE[case]
    text, message = refused(
        layer_type, parameters, *shapes, tops="a", message="cannot work in place"
    )
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": text}, {})
