"""WindowData against real Caffe: choice, padding, crop modes, mirrors, means."""

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

# class overlap x1 y1 x2 y2, some at the image's edges, one between the thresholds
_WINDOWS = (
    ("3 0.9 2 3 20 15", "1 0.5 0 0 9 29", "7 0.1 5 5 39 29", "2 0.4 1 1 2 2", "4 0 30 2 39 8"),
    ("5 1 0 0 24 32", "9 0.2 3 3 12 8", "6 0.29 10 20 24 32"),
)


def window_file(folder: Path, images: tuple[tuple[str, ...], ...] = _WINDOWS) -> Path:
    rng = np.random.default_rng(3)
    text = ""
    for number, windows in enumerate(images):
        height, width = (30, 40) if number == 0 else (33, 25)
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        text += f"# {number}\n{folder}/{number}.png\n3\n{height}\n{width}\n{len(windows)}\n"
        text += "".join(f"{window}\n" for window in windows)
    path = folder / "windows.txt"
    path.write_text(text)
    return path


def reader(source: Path, more: str = "", transform: str = "crop_size: 11") -> str:
    given = f'source: "{source}" batch_size: 8 {more}'
    rest = f"window_data_param {{ {given} }} transform_param {{ {transform} }}"
    return layer("WindowData", "", "data label", rest)


_THIRD = "fg_threshold: 0.5 bg_threshold: 0.3"
CASES = {
    "warp": (_THIRD, "crop_size: 11"),
    "padded": (f"{_THIRD} context_pad: 3", "crop_size: 16"),
    "square": (f'{_THIRD} crop_mode: "square"', "crop_size: 12"),
    "square, padded and mirrored": (
        f'{_THIRD} crop_mode: "square" context_pad: 2',
        "crop_size: 13 mirror: true",
    ),
    "mirrored, scaled, means": (
        f"{_THIRD} scale: 0.25",
        "crop_size: 9 mirror: true mean_value: 10 mean_value: 20 mean_value: 30",
    ),
    "one mean, padded": (f"{_THIRD} context_pad: 1", "crop_size: 9 mean_value: 100"),
    "foreground alone": (f"{_THIRD} fg_fraction: 1", "crop_size: 9"),
    "background alone": (f"{_THIRD} fg_fraction: 0", "crop_size: 9"),
    "cached": (f"{_THIRD} cache_images: true context_pad: 2", "crop_size: 9 mirror: true"),
    "by Caffe's own thresholds": ("", "crop_size: 9"),
}


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_windows_are_real_caffes(case: str, phase: int, tmp_path: Path, ask_both: Ask) -> None:
    text = reader(window_file(tmp_path), *CASES[case])
    filler = 'data_filler { type: "uniform" } shape { dim: 3 }'
    text += layer("DummyData", "", "noise", f"dummy_data_param {{ {filler} }}", "dummy")
    request = {"net": text, "passes": 4, "backward": False, "phase": phase, "seed": 4}
    assert_same(*ask_both(request), 1e-6)


def test_the_mean_of_a_file_is_subtracted_where_the_window_lies(
    tmp_path: Path, ask_both: Ask
) -> None:
    mean = np.random.default_rng(1).random((3, 18, 16)).astype(np.float32) * 200
    proto = schema.BlobProto(num=1, channels=3, height=18, width=16, data=mean.ravel().tolist())
    binary.write(tmp_path / "mean.binaryproto", proto)
    transform = f'mean_file: "{tmp_path}/mean.binaryproto" crop_size: 12 mirror: true'
    text = reader(window_file(tmp_path), f"{_THIRD} context_pad: 2 scale: 0.5", transform)
    assert_same(*ask_both({"net": text, "passes": 4, "backward": False, "seed": 2}), 1e-6)


def test_a_position_resumes_to_the_same_windows(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(reader(window_file(tmp_path), _THIRD, "crop_size: 9 mirror: true"))

    def batches(made: Any, count: int) -> list[bytes]:
        return [made.forward()["data"].tobytes() for _ in range(count)]

    first = torchcaffe.Net(path, torchcaffe.TRAIN)
    batches(first, 3)
    state = first.layers[0].state()
    expected = batches(first, 4)
    second = torchcaffe.Net(path, torchcaffe.TRAIN)
    second.layers[0].set_state(state)
    assert batches(second, 4) == expected
    for wrong in ({}, {**state, "windows": [1, 2, 3]}, {**state, "stream": {}}):
        with pytest.raises(torchcaffe.CaffeError):
            second.layers[0].set_state(wrong)


_ONE = (("1 1 0 0 5 5", "1 0 0 0 5 5"),)
REFUSED: dict[str, tuple[tuple[tuple[str, ...], ...], str, str, str]] = {
    "no crop": (_ONE, "", "", "crop_size must be given"),
    "no foreground": ((("1 0 0 0 5 5",),), "", "crop_size: 5", "it has 0 and 1"),
    "no background": ((("1 1 0 0 5 5",),), "", "crop_size: 5", "it has 1 and 0"),
    "class 0": ((("0 1 0 0 5 5", *_ONE[0]),), "", "crop_size: 5", "class is 1 or more; got 0"),
    "both means": (_ONE, "", 'crop_size: 5 mean_file: "x" mean_value: 1', "both mean_file"),
    "no mean": (_ONE, "", 'crop_size: 5 mean_file: "/no/mean"', "could not open file /no/mean"),
    "two means": (_ONE, "", "crop_size: 5 mean_value: 1 mean_value: 2", "1 mean_value or as many"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_real_caffe_refuses_is_refused_in_one_line(
    case: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    images, more, transform, message = REFUSED[case]
    text = reader(window_file(tmp_path, images), more, transform)
    refusal = both_refuse({"net": text, "backward": False})
    assert message in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("0 # x", "begins with '#', not '0'"), (None, "could not open file")],
)
def test_a_file_that_real_caffe_refuses_is_refused_in_one_line(
    content: str | None, message: str, tmp_path: Path, both_refuse: Callable[..., str]
) -> None:
    path = tmp_path / "windows.txt"
    if content is not None:
        path.write_text(content)
    refusal = both_refuse({"net": reader(path), "backward": False})
    assert message in refusal
    assert "\n" not in refusal


def test_a_window_beyond_its_image_is_refused_where_real_caffe_ends_in_an_opencv_exception(
    tmp_path: Path,
) -> None:
    path = window_file(tmp_path, (("1 1 0 0 50 5", "1 0 0 0 50 5"),))
    with pytest.raises(torchcaffe.CaffeError, match=r"is 40×30, and the window goes .*\(50, 5\)"):
        both_engines.answer(torchcaffe, {"net": reader(path), "backward": False}, {})


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("# 0\nx.png\n3\n5\n5\n2\n1 1 0 0 2 2\n", "", "ends where a class should be"),
        ("# 0\nx.png\n3\n5\n5\n1\n1 much 0 0 2 2\n", "", "an overlap should be a number"),
        ("# 4\nx.png\n3\n5\n5\n0\n", "", "numbered from 0 on"),
        ("# 0\nx.png\n1\n5\n5\n0\n", "", "with 3 channels; got 1"),
        (None, 'crop_mode: "sqare"', "warp or square; got 'sqare'"),
        (None, "context_pad: 6", "less than half of crop_size"),
        (None, "fg_fraction: 1.5", "between 0 and 1"),
    ],
)
def test_a_window_file_that_real_caffe_silently_misreads_is_refused(
    content: str | None, more: str, message: str, tmp_path: Path
) -> None:
    path = window_file(tmp_path)
    if content is not None:
        path.write_text(content)
    with pytest.raises(torchcaffe.CaffeError, match=message):
        both_engines.answer(torchcaffe, {"net": reader(path, more), "backward": False}, {})
