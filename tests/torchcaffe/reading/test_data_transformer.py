"""Data transformer: Caffe's batches from the same images and seed, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.torchcaffe import random_requests as asked
from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import fillers
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.random_numbers import random
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading import data_transformer
from tinynet.torchcaffe.reading.data_transformer import DataTransformer


def parse(transform: str) -> Any:
    return text.parse(transform, schema.TransformationParameter, "transform_param")


def mean_of(transform: Any) -> np.ndarray | None:
    return asked.mean_image() if transform.mean_file else None


@asked.by_both
@pytest.mark.parametrize("name", asked.TRANSFORMS)
def test_batches_and_the_draws_for_them_are_caffes(answers_class: type, name: str) -> None:
    caffe = answers_class()
    store, phase, source = asked.TRANSFORMS[name]
    transform = parse(source)
    main = Mt19937(asked.TRANSFORM_SEED)
    stream, _ = random.prefetching_layer(main, data_transformer.needs_random(transform, phase))
    # a layer after it shows whether as many numbers were drawn from the main stream as in Caffe
    filler = text.parse("type: 'uniform'", schema.FillerParameter, "filler")
    caffe.expect(f"{name}/param/conv/0", fillers.fill(filler, (1, 3, 1, 1), main))
    transformer = DataTransformer(transform, phase, mean_of(transform), stream)
    stored = asked.images(store)
    for number in range(asked.BATCHES):
        first = number * asked.BATCH
        batch = [stored[(first + i) % len(stored)] for i in range(asked.BATCH)]
        caffe.expect(f"{name}/blob/data/{number}", transformer.transform(batch))


@pytest.mark.parametrize("name", [n for n, case in asked.TRANSFORMS.items() if case[0] != "sizes"])
def test_one_array_gives_the_same_batch_as_a_list_of_images(name: str) -> None:
    store, phase, source = asked.TRANSFORMS[name]
    transform = parse(source)
    images = asked.images(store)
    one, other = (
        DataTransformer(transform, phase, mean_of(transform), Mt19937(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.transform(images), other.transform(np.stack(images)))


def test_an_image_takes_mirror_then_row_then_column_from_the_stream() -> None:
    image = np.arange(3 * 9 * 8, dtype=np.uint8).reshape(3, 9, 8)
    transformer = DataTransformer(parse("crop_size: 6 mirror: true"), 0, None, Mt19937(21))
    mirror, row, column = (int(word) for word in Mt19937(21).uint32s(3))
    row, column = row % 4, column % 3
    window = image[:, row : row + 6, column : column + 6]
    expected = window[:, :, ::-1] if mirror % 2 else window
    np.testing.assert_array_equal(transformer.transform([image])[0], expected)


@pytest.mark.parametrize(
    ("transform", "phase", "needed"),
    [
        ("", 0, False),
        ("crop_size: 6", 0, True),
        ("crop_size: 6", 1, False),
        ("mirror: true", 0, True),
        ("mirror: true", 1, True),
    ],
)
def test_only_mirrors_and_crops_in_train_need_random_numbers(
    transform: str, phase: int, needed: bool
) -> None:
    assert data_transformer.needs_random(parse(transform), phase) is needed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2 mean values", r"either 1 mean_value or as many as channels \(3\); there are 2"),
        ("crop beyond image", r"crop_size must not be larger .* it is 9, .* 9 × 8"),
        ("mean of other shape", r"image's shape \(3, 9, 8\); it has \(3, 6, 6\)"),
    ],
)
def test_what_caffe_refuses_is_an_error(name: str, message: str) -> None:
    asked.Stored().expect(f"{name}/refused", np.array(True))
    transform = parse(asked.REFUSED[name].partition(" ")[2])
    mean = asked.mean_image(6, 6) if transform.mean_file else None
    with pytest.raises(CaffeError, match=message):
        DataTransformer(transform, 0, mean, Mt19937(0)).transform(asked.images("bytes"))


def test_a_mean_file_and_mean_values_are_an_error() -> None:
    asked.Stored().expect("mean file and values/refused", np.array(True))
    transform = parse(asked.REFUSED["mean file and values"].partition(" ")[2])
    with pytest.raises(CaffeError, match="has both mean_file and mean_value"):
        data_transformer.read_mean(transform)


def test_images_of_several_sizes_without_a_crop_are_an_error() -> None:
    with pytest.raises(
        CaffeError, match=r"first one's shape \(3, 9, 8\) unless .* number 1 has \(3, 5, 5\)"
    ):
        DataTransformer(parse(""), 0).transform(asked.images("sizes"))


def test_encoded_images_can_be_forced_to_color_or_gray_but_not_to_both() -> None:
    assert data_transformer.colour_of_encoded(parse("")) == "native"
    assert data_transformer.colour_of_encoded(parse("force_color: true")) == "color"
    assert data_transformer.colour_of_encoded(parse("force_gray: true")) == "gray"
    with pytest.raises(CaffeError, match="both force_color and force_gray"):
        data_transformer.colour_of_encoded(parse("force_color: true force_gray: true"))
