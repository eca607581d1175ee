"""Fillers: the values and the draws of Caffe's, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.torchcaffe import random_requests as asked
from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import fillers
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937


def parse(filler: str) -> Any:
    return text.parse(filler, schema.FillerParameter, "filler")


@asked.by_both
@pytest.mark.parametrize("name", asked.FILLERS)
def test_a_filler_gives_caffes_values_twice_in_succession(answers_class: type, name: str) -> None:
    filler, shape = asked.FILLERS[name]
    stream = Mt19937(asked.FILLER_SEED)
    for number in range(2):
        answers_class().expect(
            f"{name}/blob/x/{number}", fillers.fill(parse(filler), shape, stream)
        )


def test_a_sparse_filler_keeps_the_stated_number_of_weights_per_column_on_average() -> None:
    weights = fillers.fill(parse("type: 'gaussian' sparse: 5"), (100, 2000), Mt19937(1))
    assert (weights != 0).sum(axis=0).mean() == pytest.approx(5, abs=0.2)


def test_positive_unitball_weights_of_an_output_add_up_to_one() -> None:
    weights = fillers.fill(parse("type: 'positive_unitball'"), (5, 4, 3), Mt19937(1))
    assert (weights > 0).all()
    assert weights.sum(axis=(1, 2)) == pytest.approx(np.ones(5), rel=1e-6)


@pytest.mark.parametrize("filler", ["type: 'constant' value: 2", "type: 'bilinear'"])
def test_deterministic_fillers_draw_no_random_numbers(filler: str) -> None:
    stream = Mt19937(1)
    fillers.fill(parse(filler), (2, 2, 3, 3), stream)
    assert stream.next_uint32() == Mt19937(1).next_uint32()


def test_an_unknown_type_is_an_error_that_lists_the_valid_ones() -> None:
    listed = "bilinear, constant, gaussian, msra, positive_unitball, uniform, xavier"
    with pytest.raises(CaffeError, match=f"filler type 'kaiming'; valid types: {listed}"):
        fillers.fill(parse("type: 'kaiming'"), (2, 3), Mt19937(0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown filler", "unknown filler type 'kaiming'"),
        ("sparse uniform", "sparse is a field of the gaussian filler alone; .* it at 2"),
        ("std 0", "standard deviation .* must be positive, not 0"),
        ("min above max", r"min <= max; they are 1.0 and 0.0"),
        ("sparse above outputs", "between 0 and 1, not 2.25"),
        ("bilinear of 2 axes", r"blob of 4 axes, not of shape \(4, 5\)"),
    ],
)
def test_what_caffe_refuses_is_an_error(name: str, message: str) -> None:
    filler = asked.REFUSED[name].partition(" ")[2]
    asked.Stored().expect(f"{name}/refused", np.array(True))
    with pytest.raises(CaffeError, match=message):
        fillers.fill(parse(filler), (4, 5), Mt19937(0))


@pytest.mark.parametrize(
    ("filler", "shape", "message"),
    [
        ("type: 'gaussian'", (3, 0), r"gaussian filler needs a blob that is not empty: \(3, 0\)"),
        ("type: 'bilinear'", (1, 1, 2, 3), r"square kernels, not of shape \(1, 1, 2, 3\)"),
        ("type: 'gaussian' sparse: -2", (3, 2), "sparse must be -1 .* not -2"),
    ],
)
def test_a_shape_or_value_that_does_not_fit_is_an_error(
    filler: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(CaffeError, match=message):
        fillers.fill(parse(filler), shape, Mt19937(0))
