from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinynet.dataset.synthetic import LARGEST_CLASSES, Kind, Sizes, choose_kinds, draw, synthesize
from tinynet.dataset.tiny_imagenet import TinyImagenet
from tinynet.dataset.verify import verify_dataset
from tinynet.errors import TinynetError, UsageError

SMALL = Sizes(classes=4, train_per_class=3, val_per_class=2, test_per_class=1)


def test_a_drawn_set_is_a_complete_data_set_in_the_layout(tmp_path: Path) -> None:
    synthesize(tmp_path / "shapes", SMALL)
    report = verify_dataset(tmp_path / "shapes")
    assert report.problems == [] and report.classes == 4
    assert report.counts == {"train": 12, "val": 8, "test": 4}
    assert report.boxes == 12
    assert report.labelled == {"train": True, "val": True, "test": False}
    with TinyImagenet(tmp_path / "shapes") as dataset:
        assert dataset.wnids != sorted(dataset.wnids) and len(set(dataset.class_names)) == 4
        counts = np.bincount([image.label for image in dataset.images["val"]])
        assert counts.tolist() == [2] * 4
        # nor does the order of the names tell the class
        labels = [
            image.label for image in sorted(dataset.images["val"], key=lambda p: int(p.name[4:-5]))
        ]
        assert labels != sorted(labels) and labels != labels[:4] * 2


def test_a_seed_gives_the_same_bytes_and_another_seed_different_ones(tmp_path: Path) -> None:
    def bytes_of(name: str, seed: int) -> dict[str, bytes]:
        synthesize(tmp_path / name, SMALL, seed=seed)
        return {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }

    assert bytes_of("a", 1) == bytes_of("b", 1) != bytes_of("c", 2)


def test_asking_for_more_images_does_not_change_the_first_ones() -> None:
    few, many = choose_kinds(5, 1), choose_kinds(50, 1)
    assert len(set(many.values())) == 50
    assert len({kind.shape for kind in many.values()}) > 5  # and so shared between classes
    assert list(few) != sorted(few)


def test_the_box_is_where_the_object_is() -> None:
    for seed in range(20):
        pixels, box = draw(Kind("square", "plain", "green"), random.Random(seed))
        assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8
        assert 0 <= box.left <= box.right < 64 and 0 <= box.top <= box.bottom < 64
        assert (box.right - box.left) * (box.bottom - box.top) > 100


def test_images_of_one_class_differ_in_position_size_and_background() -> None:
    kind = Kind("disc", "striped", "blue")
    drawn = [draw(kind, random.Random(seed)) for seed in range(30)]
    lefts = [box.left for _, box in drawn]
    widths = [box.right - box.left for _, box in drawn]
    corners = np.stack([pixels[0, 0] for pixels, _ in drawn]).astype(float)
    assert np.std(lefts) > 4 and np.std(widths) > 3 and corners.std(0).min() > 20


def test_some_images_are_grayscale_as_in_the_real_set(tmp_path: Path) -> None:
    synthesize(tmp_path / "shapes", Sizes(2, 100, 50, 50))
    modes = [
        Image.open(io.BytesIO(path.read_bytes())).mode
        for path in (tmp_path / "shapes").rglob("*.JPEG")
    ]
    assert 0 < modes.count("L") < 30 and set(modes) == {"L", "RGB"}


@pytest.mark.parametrize("classes", [1, 0, -5, LARGEST_CLASSES + 1])
def test_an_invalid_number_of_classes_is_refused(tmp_path: Path, classes: int) -> None:
    with pytest.raises(UsageError, match=f"there can be 2 to {LARGEST_CLASSES}"):
        synthesize(tmp_path / "shapes", Sizes(classes=classes))
    with pytest.raises(UsageError, match="at least one image"):
        synthesize(tmp_path / "shapes", Sizes(val_per_class=0))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_set_is_kept_without_overwrite(tmp_path: Path) -> None:
    synthesize(tmp_path / "shapes", SMALL)
    with pytest.raises(TinynetError, match="shapes: exists; pass --overwrite"):
        synthesize(tmp_path / "shapes", SMALL)
    synthesize(tmp_path / "shapes", Sizes(2, 1, 1, 1), overwrite=True)
    assert verify_dataset(tmp_path / "shapes").classes == 2
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]
