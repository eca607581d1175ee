"""ImageData against real Caffe: lists, orders, sizes, colours, crops and mirrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from PIL import Image

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import binary, schema


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a list of seven images of several sizes, colour modes and lossless formats."""
    rng = np.random.default_rng(3)
    names = []
    for number in range(7):
        shape = (8 + number % 3, 9 + number % 2, 3)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        kind = ("png", "bmp", "png")[number % 3]
        names.append(f"an image {number}.{kind}")
        image = Image.fromarray(pixels)
        (image.convert("L") if number == 4 else image).save(tmp_path / names[-1])
    return write_list(tmp_path, *(f"{name} {10 * i}" for i, name in enumerate(names)))


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "list.txt"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def reader(source: Path, more: str = "", transform: str = "", tops: str = "data label") -> str:
    root = f'root_folder: "{source.parent}/"'
    return layer(
        "ImageData",
        "",
        tops,
        f'image_data_param {{ source: "{source}" {root} {more} }} '
        f"transform_param {{ {transform} }}",
    )


CASES = {
    "one by one, each of its own size": ("", ""),
    "gray": ("is_color: false", ""),
    "larger": ("new_height: 13 new_width: 17 batch_size: 3", ""),
    "smaller, gray": ("new_height: 5 new_width: 4 batch_size: 3 is_color: false", ""),
    "half": ("new_height: 4 new_width: 5 batch_size: 2", ""),
    "crops": ("batch_size: 4", "crop_size: 6"),
    "crops and mirrors": ("batch_size: 4", "crop_size: 6 mirror: true scale: 0.5 mean_value: 9"),
    "mean values": ("", "mean_value: 100 mean_value: 110 mean_value: 120"),
    "mirrors": ("new_height: 8 new_width: 8 batch_size: 5", "mirror: true"),
    "shuffled": ("shuffle: true batch_size: 2 new_height: 6 new_width: 6", ""),
    "shuffled crops": ("shuffle: true batch_size: 3", "crop_size: 5 mirror: true"),
    "skips": ("rand_skip: 7", ""),
    "shuffled, skips and crops": ("shuffle: true rand_skip: 5 batch_size: 2", "crop_size: 5"),
}


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_batches_equal_real_caffes_over_several_passes_of_the_list(
    case: str, phase: int, images: Path, ask_both: Ask
) -> None:
    text = reader(images, *CASES[case])
    # later draws must come from the same position of the main stream
    filler = 'data_filler { type: "uniform" } shape { dim: 3 }'
    text += layer("DummyData", "", "noise", f"dummy_data_param {{ {filler} }}", "dummy")
    request = {"net": text, "passes": 12, "backward": False, "phase": phase, "seed": 11}
    real, ours = ask_both(request)
    assert_same(real, ours, 1e-6)
    assert len({real[f"{number}/data/data"].tobytes() for number in range(12)}) > 3


def test_the_mean_of_a_file_is_subtracted(images: Path, ask_both: Ask) -> None:
    mean = np.random.default_rng(1).random((3, 7, 6)).astype(np.float32) * 200
    proto = schema.BlobProto(num=1, channels=3, height=7, width=6, data=mean.ravel().tolist())
    binary.write(images.parent / "mean.binaryproto", proto)
    transform = f'mean_file: "{images.parent}/mean.binaryproto" crop_size: 4 mirror: true scale: 2'
    text = reader(images, "new_height: 7 new_width: 6 batch_size: 3", transform)
    assert_same(*ask_both({"net": text, "passes": 4, "backward": False, "seed": 2}), 1e-6)


def test_lines_are_read_as_real_caffe_reads_them(images: Path, ask_both: Ask) -> None:
    folder = images.parent
    for name in ("12monkeys.png", "plain.png", "trailing.png"):
        (folder / name).write_bytes((folder / "an image 0.png").read_bytes())
    source = folder / "odd.txt"
    source.write_bytes(
        b"an image 0.png -3\r\nplain.png\n12monkeys.png\ntrailing.png \nan image 2.png +7x"
    )
    real, ours = ask_both({"net": reader(source), "passes": 6, "backward": False})
    assert_same(real, ours, 0)
    labels = [float(real[f"{number}/data/label"][0]) for number in range(6)]
    assert labels == [-3, 0, 12, 0, 7, -3]


@pytest.mark.parametrize("case", ["crops and mirrors", "shuffled crops", "skips"])
def test_a_position_resumes_to_the_same_batches(case: str, images: Path) -> None:
    path = images.parent / "net.prototxt"
    path.write_text(reader(images, *CASES[case]))

    def batches(made: Any, count: int) -> list[bytes]:
        return [made.forward()["data"].tobytes() for _ in range(count)]

    torchcaffe.set_random_seed(1)
    first = torchcaffe.Net(path, torchcaffe.TRAIN)
    batches(first, 5)
    state = first.layers[0].state()
    expected = batches(first, 9)
    second = torchcaffe.Net(path, torchcaffe.TRAIN)  # created with other seeds
    batches(second, 2)
    second.layers[0].set_state(state)
    assert batches(second, 9) == expected
    for wrong in ({}, {**state, "line": 7}, {**state, "images": 6}, {**state, "stream": 3}):
        if wrong != state:
            with pytest.raises(torchcaffe.CaffeError):
                second.layers[0].set_state(wrong)


REFUSED = {
    "one side alone": ("new_height: 4", "", "or neither; got 4 and 0"),
    "no batch": ("batch_size: 0", "", "batch_size must be positive"),
    "a crop too large": ("", "crop_size: 50", "crop_size must not be larger"),
    "another size in a batch": ("batch_size: 3", "", "first one's shape"),
    "both means": ("", 'mean_file: "x" mean_value: 1', "both mean_file and mean_value"),
    "no mean file": ("", 'mean_file: "/nowhere/mean"', "could not open file /nowhere/mean"),
    "two means for three channels": ("", "mean_value: 1 mean_value: 2", "1 mean_value or as many"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_real_caffe_refuses_is_refused_in_one_line(
    case: str, images: Path, both_refuse: Callable[..., str]
) -> None:
    more, transform, message = REFUSED[case]
    refusal = both_refuse({"net": reader(images, more, transform), "backward": False})
    assert message in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        ((), "", "is empty; it must list one image"),
        (("no.png 1",), "", "could not open file"),
        (("list.txt 1",), "", "are not an image"),
        (("an image 0.png 1",), "rand_skip: 1000000", "are not enough to skip"),
        (("an image 0.png 1", "", "an image 1.bmp 1"), "", "could not open file"),
    ],
)
def test_a_list_that_real_caffe_refuses_is_refused_in_one_line(
    lines: tuple[str, ...],
    more: str,
    message: str,
    images: Path,
    both_refuse: Callable[..., str],
) -> None:
    text = reader(write_list(images.parent, *lines), more)
    refusal = both_refuse({"net": text, "backward": False, "passes": 3})
    assert message in refusal
    assert "\n" not in refusal


def test_a_missing_list_is_refused(tmp_path: Path, both_refuse: Callable[..., str]) -> None:
    refusal = both_refuse({"net": reader(tmp_path / "no.txt"), "backward": False})
    assert "could not open file" in refusal and "no.txt" in refusal


def test_a_list_without_its_label_top_is_refused(
    images: Path, both_refuse: Callable[..., str]
) -> None:
    refusal = both_refuse({"net": reader(images, tops="data"), "backward": False})
    assert "exactly 2 top" in refusal


def test_a_label_that_is_a_word_is_refused_where_real_caffe_takes_0(images: Path) -> None:
    text = reader(write_list(images.parent, "an image 0.png 3", "an image 1.bmp cat"))
    with pytest.raises(torchcaffe.CaffeError, match=r"list.txt:2: a label is a whole number.*cat"):
        both_engines.answer(torchcaffe, {"net": text, "backward": False}, {})
