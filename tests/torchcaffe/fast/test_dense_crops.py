"""One pass for all crops of an image gives what the net gives for each crop alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinynet.torchcaffe as caffe
from tinynet.caffeformat.transform import crop_origins, views
from tinynet.torchcaffe.fast import dense_crops
from tinynet.torchcaffe.fast.dense_crops import ViewPredictor

ROOT = Path(__file__).parents[3]
STAGES = sorted(path.parent.name for path in ROOT.glob("prototxt/stage[1-7]_*/deploy.prototxt"))


def give_weights(net, seed: int = 0) -> None:
    """Set weights that carry a signal through any depth; a deploy net states no fillers."""
    generator = np.random.default_rng(seed)
    for blobs in net.params.values():
        for blob in blobs:
            shape = blob.data.shape
            spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.3
            blob.data[...] = spread * generator.normal(size=shape)


def predict_crops(net, images, origins, mirror: bool = False) -> np.ndarray:
    """Return the net's outputs N×V×K, with the first layers run on whole images."""
    return ViewPredictor(net, origins, mirror, measure=False)(images)


def run_one_by_one(net, images, origins, mirror) -> np.ndarray:
    """Return the net's outputs N×V×K, with every crop cut out and run alone."""
    name = net.inputs[0]
    _, channels, height, width = net.blobs[name].data.shape
    net.blobs[name].reshape(1, channels, height, width)
    out = []
    for image in images:
        crops = [image[:, r : r + height, c : c + width] for r, c in origins]
        for crop in crops + [crop[:, :, ::-1] for crop in crops] * mirror:
            net.blobs[name].data[0] = crop
            net.forward()
            out.append(net.blobs[net.outputs[0]].data[0].ravel().copy())
    return np.array(out).reshape(len(images), len(origins) * (1 + mirror), -1)


def net_of(tmp_path: Path, layers: str, size: tuple[int, int], channels: int = 2):
    path = tmp_path / "net.prototxt"
    path.write_text(
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 3 '
        f"dim: {channels} dim: {size[0]} dim: {size[1]} }} }} }}\n{layers}"
    )
    return caffe.Net(str(path), caffe.TEST)


@pytest.mark.parametrize("stage", STAGES)
def test_probabilities_of_a_stage_are_those_of_its_ten_crops(stage):
    net = caffe.Net(str(ROOT / "prototxt" / stage / "deploy.prototxt"), caffe.TEST)
    give_weights(net)
    images = np.random.default_rng(1).normal(size=(2, 3, 64, 64)).astype(np.float32)
    size = net.blobs["data"].shape[2]
    origins = crop_origins(64, 64, size) if size < 64 else [(0, 0)]
    shared = predict_crops(net, images, origins, mirror=True)
    net.blobs["data"].reshape(len(images) * 2 * len(origins), 3, size, size)
    plain = net.forward(data=views(images, size % 64, oversample=True))["prob"]
    plain = plain.reshape(shared.shape)
    np.testing.assert_allclose(shared, plain, atol=1e-5)
    assert np.abs(plain - plain[:, :1]).max() > 1e-3  # the views differ, so their order matters


def test_the_stages_share_all_their_convolutions():
    net = caffe.Net(str(ROOT / "prototxt/stage7_dropout2/deploy.prototxt"), caffe.TEST)
    last, _ = dense_crops._shared_layers(net)[-1]
    assert net.graph.layers[last].name == "pool3"


LOCAL = {
    "ReLU": "relu_param { negative_slope: 0.1 }",
    "PReLU": "",
    "LRN": "lrn_param { local_size: 3 }",
    "BatchNorm": "",
    "Scale": "scale_param { bias_term: true }",
    "Bias": "",
    "Dropout": "",
    "TanH": "",
    "Power": "power_param { scale: 2 shift: 1 }",
    "LRN within": "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }",
    "MVN-like": "batch_norm_param { use_global_stats: false }",
}


@st.composite
def stacks(draw) -> str:
    """One to five layers, most of which share."""
    layers, below = [], "data"
    for number in range(draw(st.integers(1, 5))):
        name = f"l{number}"
        kind = draw(st.sampled_from(["Convolution", "Convolution", "Pooling", "Pooling", "other"]))
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        pad = draw(st.sampled_from([0, 0, 0, 0, 1])) if kernel > 1 else 0
        top = name
        if kind == "Convolution":
            dilation = draw(st.sampled_from([1, 1, 2]))
            text = (
                f"convolution_param {{ num_output: 4 kernel_size: {kernel} stride: {stride} "
                f"pad: {pad} dilation: {dilation} group: {draw(st.sampled_from([1, 2]))} }}"
            )
        elif kind == "Pooling":
            method = draw(st.sampled_from(["MAX", "AVE"]))
            stride = min(stride, kernel)  # a last window beyond the image has no maximum
            text = (
                f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} "
                f"pad: {pad} }}"
            )
        else:
            chosen = draw(st.sampled_from(sorted(LOCAL)))
            kind = {"LRN within": "LRN", "MVN-like": "BatchNorm"}.get(chosen, chosen)
            text = LOCAL[chosen]
            if kind != "LRN" and draw(st.booleans()) and below != "data":
                top = below
        head = f'name: "{name}" type: "{kind}" bottom: "{below}" top: "{top}"'
        layers.append(f"layer {{ {head} {text} }}")
        below = top
    layers.append(
        f'layer {{ name: "fc" type: "InnerProduct" bottom: "{below}" top: "fc" '
        "inner_product_param { num_output: 3 } }"
    )
    return "\n".join(layers)


@settings(max_examples=80)
@given(
    layers=stacks(),
    image=st.tuples(st.integers(8, 20), st.integers(8, 20)),
    margin=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    places=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=5),
    mirror=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_for_any_net_and_any_crops_the_shared_pass_equals_each_crop_run_alone(
    tmp_path_factory, layers, image, margin, places, mirror, seed
):
    height, width = image[0] - margin[0], image[1] - margin[1]
    assume(min(height, width) >= 3)
    try:
        net = net_of(tmp_path_factory.getbasetemp(), layers, (height, width))
    except caffe.CaffeError:  # a kernel that does not fit
        assume(False)
    # batch statistics would make a crop depend on the others in its batch
    assume(not any(getattr(layer, "use_global_stats", True) is False for layer in net.layers))
    give_weights(net, seed)
    for layer, blobs in net.params.items():
        if net.layer_dict[layer].type == "BatchNorm":
            for blob in blobs:
                blob.data[...] = np.abs(blob.data) + 0.5
    origins = [(row % (margin[0] + 1), column % (margin[1] + 1)) for row, column in places]
    images = np.random.default_rng(seed).normal(size=(2, 2, *image)).astype(np.float32)
    before = images.copy()
    shared = predict_crops(net, images, origins, mirror)
    np.testing.assert_array_equal(images, before)
    expected = run_one_by_one(net, images, origins, mirror)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(shared, expected, atol=1e-5 * scale)


CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 %s } }"
)
FC = (
    'layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "fc" '
    "inner_product_param { num_output: 3 } }"
)


def map_sizes_run(net, images, origins, monkeypatch) -> list[tuple[int, int]]:
    """Return height and width of each map that a shared layer ran on."""
    seen = []
    run = dense_crops._Group.run

    def watch(group, *rest):
        seen.append(tuple(group.map.shape[2:]))
        return run(group, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(dense_crops._Group, "run", watch)
        predict_crops(net, images, origins)
    return seen


def test_padded_layers_and_small_crops_far_apart_are_not_shared(tmp_path, monkeypatch):
    images = np.zeros((1, 2, 12, 12), np.float32)
    corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
    shares = net_of(tmp_path, CONV % "" + FC % "conv", (10, 10))
    assert map_sizes_run(shares, images, corners, monkeypatch) == [(12, 12)]
    padded = net_of(tmp_path, CONV % "pad: 1" + FC % "conv", (10, 10))
    assert map_sizes_run(padded, images, corners, monkeypatch) == []
    strided = net_of(tmp_path, CONV % "stride: 2" + FC % "conv", (9, 9))
    odd = [(0, 0), (1, 0), (2, 2)]
    assert map_sizes_run(strided, images, odd, monkeypatch) == [(11, 11), (9, 9)]
    small = net_of(tmp_path, CONV % "" + FC % "conv", (4, 4))
    far = [(0, 0), (0, 8), (8, 0), (8, 8)]
    assert map_sizes_run(small, images, far, monkeypatch) == [(4, 4)] * 4


def test_sharing_ends_at_a_blob_that_two_layers_read(tmp_path):
    both = 'layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "data" top: "sum" }'
    same_shape = CONV.replace("num_output: 4 kernel_size: 3 %s", "num_output: 2 kernel_size: 1")
    net = net_of(tmp_path, same_shape + both + FC % "sum", (5, 5))
    give_weights(net)
    images = np.random.default_rng(0).normal(size=(3, 2, 7, 7)).astype(np.float32)
    assert dense_crops._shared_layers(net) == []
    origins = [(0, 0), (2, 1)]
    np.testing.assert_allclose(
        predict_crops(net, images, origins, True),
        run_one_by_one(net, images, origins, True),
        atol=1e-5,
    )


def test_many_images_are_split_into_several_passes(tmp_path, monkeypatch):
    net = net_of(tmp_path, CONV % "" + FC % "conv", (5, 5))
    give_weights(net)
    images = np.random.default_rng(0).normal(size=(7, 2, 6, 6)).astype(np.float32)
    whole = predict_crops(net, images, [(0, 0), (1, 1)])
    monkeypatch.setattr(dense_crops, "_MAP_BYTES", 3 * 4 * 4 * 25)
    np.testing.assert_allclose(predict_crops(net, images, [(0, 0), (1, 1)]), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "origins", "says"),
    [
        ((1, 2, 6, 6), [(0, 2)], "does not lie within images of 6x6"),
        ((1, 2, 6, 6), [], "no crops"),
        ((0, 2, 6, 6), [(0, 0)], "no images"),
        ((1, 3, 6, 6), [(0, 0)], "takes inputs of shape"),
    ],
)
def test_images_or_crops_that_do_not_fit_the_net_are_refused(tmp_path, shape, origins, says):
    net = net_of(tmp_path, CONV % "" + FC % "conv", (5, 5))
    with pytest.raises(caffe.CaffeError, match=says):
        predict_crops(net, np.zeros(shape, np.float32), origins)


def test_a_net_in_the_train_phase_is_refused(tmp_path):
    net_of(tmp_path, CONV % "" + FC % "conv", (5, 5))
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    with pytest.raises(caffe.CaffeError, match="TRAIN phase"):
        predict_crops(net, np.zeros((1, 2, 6, 6), np.float32), [(0, 0)])


def make_predictor(tmp_path: Path, **how: Any) -> tuple[ViewPredictor, np.ndarray, np.ndarray]:
    """Return a predictor that takes bytes, some images, and the expected outputs."""
    net = net_of(tmp_path, CONV % "" + FC % "conv", (5, 5))
    give_weights(net)
    images = np.random.default_rng(0).integers(0, 256, (7, 2, 6, 6)).astype(np.uint8)
    mean = np.random.default_rng(1).uniform(90, 160, (2, 6, 6)).astype(np.float32)
    origins = [(0, 0), (1, 1)]
    values = (images - mean) * np.float32(0.0625)
    expected = run_one_by_one(net, values, origins, True)
    return ViewPredictor(net, origins, True, mean, 0.0625, **how), images, expected


def test_bytes_are_transformed_as_caffe_does_before_they_are_cut(tmp_path):
    predictor, images, expected = make_predictor(tmp_path)
    assert predictor.shares and predictor.views == 4
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)


@pytest.mark.parametrize("slow", ["shared", "by themselves"])
def test_the_method_that_was_faster_on_the_first_batch_is_kept(tmp_path, monkeypatch, slow):
    predictor, images, expected = make_predictor(tmp_path, measure=True)
    clock = [0.0]
    ways = []
    run = dense_crops._predict

    def timed(net, groups, dense, views):
        ways.append(bool(dense))
        clock[0] += 2.0 if bool(dense) == (slow == "shared") else 1.0
        return run(net, groups, dense, views)

    monkeypatch.setattr(dense_crops.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(dense_crops, "_predict", timed)
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)
    # each method runs until it is warm and could be recorded, and once more to be timed
    stays = slow != "shared"
    assert ways == [True] * 4 + [False] * 4 + [stays] * 2 and predictor.shares == stays


def test_a_batch_that_does_not_fit_in_memory_is_halved(tmp_path, monkeypatch):
    predictor, images, expected = make_predictor(tmp_path)
    tried = []
    run = dense_crops._predict

    def with_room_for_two(net, groups, dense, views):
        tried.append(len(groups[0].map))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError
        return run(net, groups, dense, views)

    monkeypatch.setattr(dense_crops, "_predict", with_room_for_two)
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)
    assert tried == [7, 3, 1] + [1] * 6
    tried.clear()
    predictor(images)
    assert set(tried) == {1}


def test_a_batch_that_does_not_fit_in_memory_while_methods_are_compared_is_halved(
    tmp_path, monkeypatch
):
    predictor, images, expected = make_predictor(tmp_path, measure=True)
    run = dense_crops._predict

    def without_room_for_the_crops_of_four(net, groups, dense, views):
        if not dense and len(groups[0].map) > 3:
            raise torch.OutOfMemoryError
        return run(net, groups, dense, views)

    monkeypatch.setattr(dense_crops, "_predict", without_room_for_the_crops_of_four)
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)


@pytest.mark.parametrize("mean", [(2, 1, 1), (2, 6, 6)])
def test_a_single_crop_is_cut_before_its_own_part_of_the_mean_is_subtracted(tmp_path, mean):
    net = net_of(tmp_path, CONV % "" + FC % "conv", (5, 4))
    give_weights(net)
    images = np.random.default_rng(0).integers(0, 256, (7, 2, 6, 6)).astype(np.uint8)
    values = np.random.default_rng(1).uniform(90, 160, mean).astype(np.float32)
    expected = run_one_by_one(net, (images - values) * np.float32(0.0625), [(1, 2)], False)
    predictor = ViewPredictor(net, [(1, 2)], False, values, 0.0625)
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)


def test_a_net_gives_a_crop_the_same_result_before_and_after_it_ran_whole_images(tmp_path):
    pool = (
        'layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" '
        "pooling_param { pool: AVE kernel_size: 2 stride: 2 } }"
    )
    net = net_of(tmp_path, CONV % "" + pool + FC % "pool", (6, 6))
    give_weights(net)
    crops = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype(np.float32)
    net.blobs["data"].reshape(4, 2, 6, 6)
    before = net.forward(data=crops)["fc"].copy()
    predict_crops(net, np.zeros((2, 2, 6, 8), np.float32), [(0, 0), (0, 2)])
    net.blobs["data"].reshape(4, 2, 6, 6)
    np.testing.assert_array_equal(net.forward(data=crops)["fc"], before)


def test_a_single_image_that_does_not_fit_in_memory_is_an_error(tmp_path, monkeypatch):
    predictor, images, _ = make_predictor(tmp_path)

    def no_room(*_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(dense_crops, "_predict", no_room)
    with pytest.raises(torch.OutOfMemoryError):
        predictor(images)
