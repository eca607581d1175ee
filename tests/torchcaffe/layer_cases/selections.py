"""Layers that pick, cut out and repeat: Crop, Tile, BatchReindex, Filter and Embed."""

from __future__ import annotations

import numpy as np

from tests.torchcaffe.layer_cases.case import Case, Inputs
from tests.torchcaffe.small_nets import GAUSSIAN


def _floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _crop(parameters: str, whole: tuple[int, ...], size: tuple[int, ...]) -> Case:
    inputs: Inputs = {"x": whole, "size": size}
    return Case("Crop", f"crop_param {{ {parameters} }}", inputs, learned=("x",))


CROPS = {
    "crop": _crop("", (2, 3, 6, 5), (1, 1, 4, 2)),
    "crop offset": _crop("offset: 1", (2, 3, 6, 5), (1, 1, 4, 2)),
    "crop offsets": _crop("offset: [2, 3]", (2, 3, 6, 5), (1, 1, 4, 2)),
    "crop channels": _crop("axis: 1 offset: [1, 0, 2]", (2, 3, 6, 5), (7, 2, 4, 2)),
    "crop everything": _crop("axis: 0 offset: 1", (3, 3, 6), (1, 2, 5)),
    "crop the last axis": _crop("axis: -1 offset: 2", (2, 3, 6, 5), (1, 1, 1, 3)),
    "crop nothing": _crop("", (2, 3, 4, 5), (2, 3, 4, 5)),
    "crop to more axes": _crop("axis: 1", (2, 3, 4), (2, 2, 3, 9)),
}

TILES = {
    "tile": Case("Tile", "tile_param { tiles: 3 }"),
    "tile batches": Case("Tile", "tile_param { axis: 0 tiles: 2 }"),
    "tile the last axis": Case("Tile", "tile_param { axis: -1 tiles: 4 }"),
    "tile once": Case("Tile", "tile_param { tiles: 1 }"),
}


def _reindexed(indices: np.ndarray, shape: tuple[int, ...] = (4, 3, 2)) -> Case:
    return Case("BatchReindex", "", {"x": shape, "index": indices}, learned=("x",))


REINDEXES = {
    "batch reindex": _reindexed(_floats(3, 0, 2, 1)),
    "batch reindex repeats": _reindexed(_floats(1, 1, 3, 1, 0, 3)),
    "batch reindex cuts fractions off": _reindexed(_floats(0.9, 2.5, 3.99)),
    "batch reindex of values": _reindexed(_floats(2, 2, 0), (3,)),
}


def _filtered(selector: np.ndarray, tops: str = "y", **more: tuple[int, ...]) -> Case:
    inputs: Inputs = {"x": (4, 3, 2), **more, "selector": selector}
    learned = tuple(name for name in inputs if name != "selector")
    return Case("Filter", "", inputs, tops, learned=learned)


FILTERS = {
    "filter": _filtered(_floats(1, 0, 0, 1)),
    "filter by any number": _filtered(_floats(-2, 0, 0.25, 9)),
    "filter two": _filtered(_floats(0, 1, 1, 0).reshape(4, 1, 1), "y z", b=(4, 5)),
    "filter all": _filtered(_floats(1, 1, 1, 1)),
    "filter the last": _filtered(_floats(0, 0, 0, 1)),
}


def _embedded(parameters: str, indices: np.ndarray) -> Case:
    given = f"embed_param {{ input_dim: 5 num_output: 3 {parameters} }}"
    return Case("Embed", given, {"x": indices}, learned=())


EMBEDS = {
    "embed": _embedded(GAUSSIAN, _floats(4, 0, 2, 2)),
    "embed no bias": _embedded(
        'bias_term: false weight_filler { type: "gaussian" }', _floats(1, 1, 1)
    ),
    "embed axes": _embedded(GAUSSIAN, _floats(0, 1, 2, 3, 4, 0).reshape(3, 1, 2)),
    "embed cuts fractions off": _embedded(GAUSSIAN, _floats(1.75, -0.5, 4.99)),
}

SELECTIONS = {**CROPS, **TILES, **REINDEXES, **FILTERS, **EMBEDS}
