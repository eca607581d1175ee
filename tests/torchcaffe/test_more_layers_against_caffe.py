"""Every layer computes what real Caffe computes, forward and backward, in float32."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, Ask, assert_same
from tests.torchcaffe.golden import layers_of
from tests.torchcaffe.layer_cases import FAMILIES, LAYERS


@cache
def golden() -> dict[str, Answer]:
    """Real Caffe's answer to each case's second pass, by the case's name."""
    answers: dict[str, Answer] = defaultdict(dict)
    for family in FAMILIES:
        with np.load(layers_of(family)) as stored:
            for key in stored.files:
                case, _, name = key.rpartition(":")
                answers[case][f"1/{name}"] = stored[key]
    return answers


@pytest.mark.parametrize("name", LAYERS)
def test_layer_and_its_gradients_equal_what_real_caffe_answered(name: str) -> None:
    case = LAYERS[name]
    assert_same(golden()[name], both_engines.answer(torchcaffe, case.request, case.arrays))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_and_its_gradients_equal_real_caffes(
    name: str, ask_both: Ask, request: pytest.FixtureRequest
) -> None:
    case = LAYERS[name]
    if case.normalizes_by_batch:
        request.getfixturevalue("caffe_that_normalizes_by_batch")
    if case.type == "Clip":
        request.getfixturevalue("caffe_that_has_clip")
    assert_same(*ask_both(case.request, case.arrays))
