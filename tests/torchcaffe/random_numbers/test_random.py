"""Random streams: mt19937 and Boost's distributions, and who draws what."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.torchcaffe import random_requests as asked
from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import fillers
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.random_numbers import random, ziggurat
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading import data_transformer


class Script(Mt19937):
    """A stream of given words; it counts how many are taken."""

    def __init__(self, words: Any) -> None:
        self.words = np.array(words, np.uint32)
        self.taken = 0

    def next_uint32(self) -> int:
        return int(self.uint32s(1)[0])

    def uint32s(self, count: int) -> np.ndarray:
        self.taken += count
        return self.words[self.taken - count : self.taken].copy()


def test_the_stream_is_the_mt19937_of_the_cpp_standard() -> None:
    # [rand.predef]: the 10000th word of a default-seeded mt19937, whose seed is 5489
    assert Mt19937(5489).uint32s(10000)[-1] == 4123659995


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_a_seed_starts_numpys_legacy_stream(seed: int) -> None:
    expected = np.random.RandomState(seed).bytes(4 * 2000)
    assert Mt19937(seed).uint32s(2000).tobytes() == expected


def test_only_the_low_32_bits_of_a_seed_count() -> None:
    assert Mt19937(7 + (5 << 32)).next_uint32() == Mt19937(7).next_uint32()
    assert Mt19937(-1).next_uint32() == Mt19937(0xFFFFFFFF).next_uint32()


def test_single_words_and_blocks_come_from_one_sequence() -> None:
    whole, mixed = Mt19937(9).uint32s(1500), Mt19937(9)
    parts = [[mixed.next_uint32()], mixed.uint32s(700), [mixed.next_uint32()], mixed.uint32s(798)]
    assert np.concatenate(parts).tolist() == whole.tolist()


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 3000])
def test_a_stored_state_resumes_exactly(drawn: int) -> None:
    stream, other = Mt19937(3), Mt19937(4)
    stream.uint32s(drawn)
    key, position = stream.get_state()
    expected = stream.uint32s(2000)
    other.set_state(key, position)
    assert other.uint32s(2000).tolist() == expected.tolist()


def test_a_state_of_another_generator_is_refused() -> None:
    with pytest.raises(CaffeError, match=r"624 words .* shape \(4,\) and position 2"):
        Mt19937(0).set_state(np.zeros(4, np.uint32), 2)


@pytest.mark.parametrize(
    ("table", "density", "tail_area"),
    [
        (
            ziggurat.normal(),
            lambda x: math.exp(-x * x / 2),
            lambda r: math.sqrt(math.pi / 2) * math.erfc(r / math.sqrt(2)),
        ),
        (ziggurat.exponential(), lambda x: math.exp(-x), lambda r: math.exp(-r)),
    ],
    ids=["normal", "exponential"],
)
def test_strips_lie_under_the_curve_and_have_equal_areas(
    table: ziggurat.Ziggurat, density: Any, tail_area: Any
) -> None:
    x, y = table
    start = x[1]
    area = start * density(start) + tail_area(start)
    assert x[0] * density(start) == pytest.approx(area, rel=1e-14)
    assert (x[1:-1] * (y[2:] - y[1:-1])) == pytest.approx(area, rel=1e-11)
    assert y[1:] == pytest.approx([density(edge) for edge in x[1:]], rel=1e-15)
    assert (x[-1], y[0], y[-1]) == (0, 0, 1)


@asked.by_both
def test_a_million_gaussian_draws_are_caffes(answers_class: type) -> None:
    name = "gaussian of a million"
    stream = Mt19937(asked.FILLER_SEED)
    for number in range(2):
        ours = random.rng_gaussian(stream, 1_000_000, 0, 0.005).reshape(1000, 1000)
        answers_class().expect(f"{name}/blob/x/{number}", ours)


def test_the_first_gaussian_draws_are_caffes_by_number() -> None:
    # InnerProduct with a gaussian filler of std 1, real Caffe, random seed 3
    weights = [-0.9288638234138489, -0.09700564295053482, 0.3380965292453766, 1.2763105630874634]
    weights += [-0.3348233997821808, -0.12506912648677826, -1.8967468738555908, 1.486456036567688]
    assert random.rng_gaussian(Mt19937(3), 8, 0, 1).tolist() == weights


@pytest.mark.parametrize("block", [1, 2, 37])
def test_gaussian_draws_do_not_depend_on_the_block_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Mt19937(8)
    values = random.rng_gaussian(expected, 2000, 0, 1)
    monkeypatch.setattr(random, "_BLOCK", block)
    stream = Mt19937(8)
    assert random.rng_gaussian(stream, 2000, 0, 1).tolist() == values.tolist()
    assert stream.next_uint32() == expected.next_uint32()


def test_a_height_that_rounds_to_one_is_drawn_again() -> None:
    top_strip = 0x400000FE  # strip 127 touches the top, so a draw in it is never accepted at once
    for rest in ([0x20000000], [0x90000000]):
        plain = Script([top_strip, *rest, 5 << 8, 6 << 8])
        again = Script([top_strip, 0xFFFFFF80, 0xFFFFFFFF, *rest, 5 << 8, 6 << 8])
        assert random.rng_gaussian(plain, 2, 0, 1).tolist() == (
            random.rng_gaussian(again, 2, 0, 1).tolist()
        )
        assert again.taken == plain.taken + 2


def test_gaussian_draws_have_the_moments_and_tails_of_the_normal_distribution() -> None:
    values = random.rng_gaussian(Mt19937(1), 2_000_000, 0, 1).astype(np.float64)
    assert values.mean() == pytest.approx(0, abs=4e-3)
    assert values.var() == pytest.approx(1, abs=5e-3)
    beyond = (np.abs(values) > 3.5).mean()
    assert beyond == pytest.approx(math.erfc(3.5 / math.sqrt(2)), rel=0.15)


def test_bernoulli_compares_words_with_p_times_the_largest_word() -> None:
    words = [0, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    drawn = random.rng_bernoulli(Script(words), 5, 0.5)
    assert drawn.tolist() == [True, True, True, False, False]  # 0.5 · (2³² − 1) = 0x7FFFFFFF.8
    # in float32 the largest word is 2³², and words round to 24 bits before they are compared
    drawn = random.rng_bernoulli(Script([0x80000000, 0x80000080, 0x80000081]), 3, 0.5, np.float32)
    assert drawn.tolist() == [True, True, False]


def test_bernoulli_draws_nothing_for_p_0_and_one_word_each_for_p_1() -> None:
    never, always = Script([1, 2, 3]), Script([0, 5, 0xFFFFFFFF])
    assert random.rng_bernoulli(never, 3, 0).tolist() == [False] * 3
    assert random.rng_bernoulli(always, 3, 1).tolist() == [True] * 3
    assert (never.taken, always.taken) == (0, 3)


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_probability_out_of_range_is_an_error(p: float) -> None:
    with pytest.raises(CaffeError, match=f"between 0 and 1, not {p}"):
        random.rng_bernoulli(Mt19937(0), 3, p)


@asked.by_both
@pytest.mark.parametrize("ratio", asked.DROPOUT_RATIOS)
def test_dropout_masks_are_caffes(answers_class: type, ratio: float) -> None:
    stream = Mt19937(asked.DROPOUT_SEED)
    for number in range(3):
        mask = random.dropout_mask(stream, math.prod(asked.DROPOUT_SHAPE), ratio)
        ours = mask * np.float32(random.dropout_scale(ratio))
        answers_class().expect(
            f"dropout {ratio}/blob/y/{number}", ours.reshape(asked.DROPOUT_SHAPE)
        )


def _fill_all(main: Mt19937) -> dict[str, np.ndarray]:
    return {
        f"{layer}/{index}": fillers.fill(
            text.parse(filler, schema.FillerParameter, "filler"), shape, main
        )
        for layer, blobs in asked.SOLVER_FILLERS.items()
        for index, (filler, shape) in enumerate(blobs)
    }


@asked.by_both
def test_a_solver_draws_in_the_documented_order(answers_class: type) -> None:
    caffe = answers_class()
    main = Mt19937(asked.SOLVER_SEED)
    transform = text.parse(asked.TRAIN_TRANSFORM, schema.TransformationParameter, "transform")
    # the train net: its Data layer, then the fillers in layer order
    stream, _ = random.prefetching_layer(main, needs_random=True)
    for key, ours in _fill_all(main).items():
        caffe.expect(f"solver/param/{key}", ours)
    # the test net, whose Data layer mirrors: as many draws
    random.prefetching_layer(main, needs_random=True)
    for key, ours in _fill_all(main).items():
        caffe.expect(f"solver/test/{key}", ours)
    # two forwards per iteration: iter_size is 2
    transformer = data_transformer.DataTransformer(transform, schema.TRAIN, None, stream)
    stored = asked.images("bytes")
    place = 0
    for step in range(asked.SOLVER_STEPS):
        for _ in range(2):
            batch = [stored[(place + number) % len(stored)] for number in range(4)]
            place += 4
            data = transformer.transform(batch)
            drops = {"drop1": 0.25, "drop2": 0.5}
            masks = {name: random.dropout_mask(main, 120, drops[name]) for name in drops}
        caffe.expect(f"solver/blob/data/{step}", data)
        for name, mask in masks.items():
            ours = mask.reshape(4, 30) * np.float32(random.dropout_scale(drops[name]))
            caffe.expect(f"solver/blob/{name}/{step}", ours)
