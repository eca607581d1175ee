from __future__ import annotations

import io
import threading
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.dataset.layouts import write_zip
from tinynet.caffeformat import image_decoding
from tinynet.dataset import decoding as images
from tinynet.dataset.annotations import Box
from tinynet.dataset.decoding import BadImage, decode_all, decode_image, jpeg_frame
from tinynet.dataset.image_set import ImageFile
from tinynet.dataset.source_files import open_files
from tinynet.dataset.tiny_imagenet import TinyImagenet


def jpeg(image: Image.Image, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=95)
    return file.getvalue()


def png_of_16_bits() -> bytes:
    """A black RGB image, written by hand: Pillow writes none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    size = (64).to_bytes(4, "big")
    rows = zlib.compress(bytes(64 * (1 + 64 * 6)))
    header = chunk(b"IHDR", size + size + bytes([16, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_turned_jpeg_is_upright_as_in_caffes_own_tools() -> None:
    image, exif = Image.new("RGB", (64, 64)), Image.Exif()
    image.paste((255, 255, 255), (40, 0, 64, 8))  # right, top
    exif[0x112] = 6  # the right side is the top: turned by 90 degrees to the right when shown
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    pixels, _ = decode_image(file.getvalue())
    assert pixels[:, 60, 60].min() > 200 and pixels[:, 2, 60].max() < 50
    np.testing.assert_array_equal(pixels, image_decoding.decode(file.getvalue(), "color"))


def test_damaged_exif_data_turns_nothing_and_refuses_nothing() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x112], exif[0x9286] = 6, "comment"
    Image.linear_gradient("L").resize((64, 64)).save(file, "JPEG", exif=exif)
    whole = file.getvalue()
    start = whole.index(b"Exif") + 6
    for at in range(start, start + 40):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        pixels, _ = decode_image(damaged)
        assert pixels.shape == (3, 64, 64)


def test_channels_come_in_the_order_blue_green_red() -> None:
    pixels, was_gray = decode_image(jpeg(Image.new("RGB", (64, 64), (250, 100, 10))))
    assert pixels.shape == (3, 64, 64) and pixels.dtype == np.uint8 and not was_gray
    np.testing.assert_allclose(pixels[:, 5, 5], [10, 100, 250], atol=3)


def test_rows_are_height_and_columns_are_width() -> None:
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (40, 0, 64, 8))  # right, top
    pixels, _ = decode_image(jpeg(image))
    assert pixels[:, 2, 60].min() > 200 and pixels[:, 60, 2].max() < 50


def test_a_grayscale_image_has_three_equal_channels() -> None:
    gradient = Image.linear_gradient("L").resize((64, 64))
    pixels, was_gray = decode_image(jpeg(gradient))
    assert was_gray and pixels.shape == (3, 64, 64)
    assert (pixels == pixels[0]).all() and len(np.unique(pixels)) > 50


def test_the_box_is_cropped_and_scaled_to_the_image_size() -> None:
    image = Image.new("RGB", (64, 64), (0, 0, 255))
    image.paste((255, 0, 0), (8, 16, 40, 48))
    image.paste((0, 255, 0), (8, 16, 40, 32))  # upper half of the box
    pixels, _ = decode_image(jpeg(image), Box(8, 16, 39, 47))
    assert pixels.shape == (3, 64, 64)
    np.testing.assert_allclose(pixels[:, 4:28, 4:60].mean((1, 2)), [0, 255, 0], atol=12)
    np.testing.assert_allclose(pixels[:, 36:60, 4:60].mean((1, 2)), [0, 0, 255], atol=12)


def test_a_box_of_one_column_still_gives_an_image() -> None:
    image = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    assert decode_image(jpeg(image), Box(63, 0, 63, 63))[0].shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"GIF89a, no JPEG", "is neither a JPEG nor a PNG"),
        (jpeg(Image.new("RGB", (64, 65)), "PNG"), "is 64×65, not 64×64"),
        (jpeg(Image.new("I;16", (64, 64)), "PNG"), "has 16 bits for each channel, not 8"),
        (png_of_16_bits(), "has 16 bits for each channel, not 8"),
        (jpeg(Image.effect_noise((64, 64), 90), "PNG")[:-300], "is truncated"),
        (jpeg(Image.new("RGB", (32, 64))), "is 32×64, not 64×64"),
        (jpeg(Image.effect_noise((64, 64), 90).convert("RGB"))[:-300], "is truncated"),
        (jpeg(Image.effect_noise((64, 64), 90).convert("RGB"))[:100], "is truncated"),
    ],
)
def test_an_unusable_image_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as error:
        decode_image(data)
    assert str(error.value) == reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_kind_of_jpeg_is_decoded_as_by_pillow(mode: str, options: dict[str, bool]) -> None:
    image = Image.merge("RGB", [Image.effect_noise((64, 64), 90) for _ in range(3)])
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=80, comment=b"a comment", **options)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        rgb = np.asarray(opened.convert("RGB"))
    pixels, was_gray = decode_image(file.getvalue())
    np.testing.assert_array_equal(pixels, rgb[:, :, ::-1].transpose(2, 0, 1))
    assert was_gray == (mode == "L")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_transparency_of_a_png_is_dropped(mode: str) -> None:
    colors = Image.merge("RGB", [Image.effect_noise((64, 64), 90) for _ in range(3)])
    image = colors.convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize((64, 64)))
    opaque = image.convert("RGB")
    pixels, was_gray = decode_image(jpeg(image, "PNG"))
    np.testing.assert_array_equal(pixels, np.asarray(opaque)[:, :, ::-1].transpose(2, 0, 1))
    assert was_gray == (mode in ("1", "L", "LA"))


@pytest.mark.parametrize("size", [(64, 64), (1, 300), (300, 2)])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("CMYK", 4)])
def test_the_size_is_read_from_the_frame_header(
    size: tuple[int, int], mode: str, channels: int
) -> None:
    assert jpeg_frame(jpeg(Image.new(mode, size))) == (size[1], size[0], channels)


@given(st.binary())
def test_no_bytes_confuse_the_search_for_the_frame_header(data: bytes) -> None:
    for start in (b"", b"\xff\xd8", b"\xff\xd8\xff"):
        assert len(jpeg_frame(start + data)) == 3


WHOLE = jpeg(Image.effect_noise((64, 64), 90).convert("RGB"))


@given(st.integers(0, len(WHOLE) - 20))
def test_a_jpeg_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(BadImage):
        decode_image(WHOLE[:length])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=20))
def test_any_damage_is_decoded_or_refused_with_one_line(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for position, value in changes:
        data[position] = value
    try:
        assert decode_image(bytes(data))[0].shape == (3, 64, 64)
    except BadImage as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_any_number_of_threads_gives_the_same_images_in_order(
    layout: Path, tmp_path: Path, jobs: int, zipped: bool
) -> None:
    (layout / "val" / "images" / "val_2.JPEG").write_bytes(b"no JPEG")
    path = write_zip(layout, tmp_path / "small.zip") if zipped else layout
    with TinyImagenet(path) as dataset:
        wanted = dataset.images["val"] * 60  # several tasks for each thread
        with closing(decode_all(dataset.files, wanted, jobs=jobs)) as decoded:
            for image, item in zip(wanted, decoded):
                assert item.image == image
                if image.name == "val_2.JPEG":
                    assert item.pixels is None and item.reason == "is neither a JPEG nor a PNG"
                    continue
                with Image.open(layout / image.path) as plain:
                    rgb = np.asarray(plain.convert("RGB"))
                np.testing.assert_array_equal(item.pixels, rgb[:, :, ::-1].transpose(2, 0, 1))


def test_a_file_that_vanishes_is_a_bad_image(layout: Path) -> None:
    files = open_files(layout)
    items = list(decode_all(files, [ImageFile("val/images/absent.JPEG", 0, None)]))
    assert items[0].pixels is None and items[0].reason == (
        "cannot be read (No such file or directory)"
    )


def test_an_image_damaged_within_a_zip_is_a_bad_image(layout: Path, tmp_path: Path) -> None:
    path = write_zip(layout, tmp_path / "small.zip")
    inside = (layout / "val" / "images" / "val_1.JPEG").read_bytes()
    damaged = inside[:-20] + bytes(20)
    path.write_bytes(path.read_bytes().replace(inside, damaged))
    with TinyImagenet(path) as dataset:
        items = {item.image.name: item for item in decode_all(dataset.files, dataset.images["val"])}
    assert items["val_1.JPEG"].pixels is None
    assert items["val_1.JPEG"].reason.startswith("cannot be read (damaged in the zip")
    assert items["val_2.JPEG"].pixels is not None


def test_pixels_are_the_same_without_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    for quality, subsampling in [(30, 2), (75, 1), (95, 0)]:
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "JPEG", quality=quality, subsampling=subsampling)
        data = file.getvalue()
        with_simplejpeg, _ = decode_image(data)
        with monkeypatch.context() as without:
            without.setattr(images, "simplejpeg", None)
            np.testing.assert_array_equal(with_simplejpeg, decode_image(data)[0])


def test_closing_early_ends_the_decoding_threads(layout: Path) -> None:
    before = threading.active_count()
    with TinyImagenet(layout) as dataset:
        decoded = decode_all(dataset.files, dataset.images["val"] * 200, jobs=2)
        next(decoded)
        assert threading.active_count() == before + 2
        decoded.close()
    assert threading.active_count() == before
