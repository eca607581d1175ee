"""Architecture, filters, feature maps and confusions are drawn as the files have them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tests.predict.test_probabilities import some_probabilities
from tests.report.overlaps import faults, visible_texts
from tinynet.caffeformat import binary, schema, text
from tinynet.errors import TinynetError
from tinynet.experiment.stages import STAGES
from tinynet.experiment.variants import VARIANTS
from tinynet.predict.activations import Activations
from tinynet.predict.occlusion import Occlusion
from tinynet.report import (
    architecture,
    canvas,
    confusion,
    feature_maps,
    filters,
    occlusion_figure,
    search_plane,
    shades,
)
from tinynet.report import page as page_module
from tinynet.report.accuracies import Accuracy, draw_accuracies
from tinynet.report.bars import Bar, draw_bars
from tinynet.report.canvas import INK, PAPER
from tinynet.report.curves import draw_curves
from tinynet.report.folds import draw_folds
from tinynet.report.run_data import label_of
from tinynet.study.cross_validation import StageFolds

BRANCHES = """
name: "two ways" layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "a" type: "ReLU" bottom: "data" top: "a" }
layer { name: "b" type: "ReLU" bottom: "data" top: "b" }
"""
# words.txt of the official set has names like the first; the others are hostile
NAMES = ["European fire salamander", "$100 bill_x^2", "<b>bold</b> & co", "x" * 30, "y" * 60]


def deploy(stage):
    path = f"prototxt/{stage.name}/deploy.prototxt"
    return text.read(path if not stage.is_ensemble else "prototxt/stage7_dropout2/deploy.prototxt",
                     schema.NetParameter)  # fmt: skip


def test_stages_1_and_7_are_drawn_with_the_papers_sizes():
    # by hand: 5x5 without padding takes 4 off, pooling halves and rounds up
    sizes = {
        1: "64×64×3 60×60×50 30×30×50 26×26×100 13×13×100 11×11×200 6×6×200 400 200",
        7: "60×60×3 56×56×64 28×28×64 26×26×128 24×24×128 22×22×128 11×11×128 9×9×256 5×5×256"
        " 2,048 200",
    }
    for number, expected in sizes.items():
        blocks = architecture.blocks_of(deploy(STAGES[number - 1]))
        assert [block.size for block in blocks] == expected.split()
    assert blocks[1].words == ["5×5 conv", "leaky 0.01"] and blocks[1].kernel == (5, 5)
    assert blocks[8].words == ["2×2 max", "dropout 0.5"]
    assert blocks[-1].words == ["full", "softmax"]


@pytest.mark.parametrize("number", [1, 6, 7])
def test_no_text_of_an_architecture_drawing_overlaps(number):
    figure = architecture.draw_architecture(deploy(STAGES[number - 1]), f"{number} of 7")
    assert faults(figure) == []


def test_a_net_with_branches_is_refused_by_name():
    with pytest.raises(TinynetError, match="'two ways': layer b reads data.*one chain"):
        architecture.blocks_of(text.parse(BRANCHES, schema.NetParameter, "net"))


def test_a_read_only_home_makes_no_drawing_command_print_warnings():
    """matplotlib would print two lines about another folder for its cache."""
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    child = subprocess.run(
        [sys.executable, "-c", "import tinynet.report.canvas"],
        env={**environment, "HOME": "/proc/none", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""},
        capture_output=True,
        text=True,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


@pytest.fixture
def weights():
    """Filters of three channels: small values and one peak, as in the paper."""
    values = np.random.default_rng(3).normal(0, 0.01, (7, 3, 5, 5)).astype(np.float32)
    values[2, 1, 0, 4] = 1.0
    return values


def written(path, values):
    net = schema.NetParameter(name="net")
    layer = net.layer.add(name="conv1", type="Convolution")
    blob = layer.blobs.add(data=values.ravel().tolist())
    blob.shape.dim.extend(values.shape)
    binary.write(path, net)
    return path


def test_filters_are_read_from_the_caffemodel_with_red_first(weights, tmp_path):
    name, found = filters.first_filters(written(tmp_path / "x.caffemodel", weights))
    assert name == "conv1"
    np.testing.assert_array_equal(found[:, 0], weights[:, 2])  # Caffe's channels are B, G, R
    np.testing.assert_array_equal(found[:, 2], weights[:, 0])


def test_filters_that_are_not_finite_or_not_of_three_channels_are_refused(weights, tmp_path):
    broken = weights.copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(TinynetError, match="conv1 holds values that are not finite"):
        filters.first_filters(written(tmp_path / "nan.caffemodel", broken))
    with pytest.raises(TinynetError, match="no convolution that reads three channels"):
        filters.first_filters(written(tmp_path / "gray.caffemodel", weights[:, :1]))


def test_a_peak_hides_the_other_filters_only_in_the_papers_view(weights):
    paper, robust, own = filters.views(weights).values()
    for view in (paper, robust, own):
        assert view.min() >= 0 and view.max() <= 1
    quiet = [0, 1, 3, 4, 5, 6]
    assert np.ptp(paper[quiet]) < 0.1  # the contrast that the paper complains of
    assert np.ptp(robust[quiet]) > 0.9
    assert all(np.ptp(own[number]) > 0.5 for number in quiet)
    np.testing.assert_allclose(paper * np.ptp(weights) + weights.min(), weights, atol=1e-6)


def test_filters_that_are_all_zero_are_drawn_without_division_by_zero():
    with np.errstate(all="raise"):
        figure = filters.draw_filters(np.zeros((4, 3, 5, 5), np.float32), "conv1")
    assert faults(figure) == []


def test_tiles_are_laid_out_in_order_row_by_row():
    tiles = filters.tile(np.arange(5.0)[:, None, None, None] * np.ones((5, 1, 2, 2)), columns=3)
    assert tiles.shape == (5, 8, 1)
    assert [tiles[0, 0, 0], tiles[0, 3, 0], tiles[0, 6, 0], tiles[3, 0, 0]] == [0, 1, 2, 3]
    assert np.isnan(tiles[2]).all() and np.isnan(tiles[3, 6])


def test_every_feature_map_is_scaled_by_its_own_range():
    maps = np.zeros((3, 20, 20), np.float32)
    maps[0] = np.linspace(-5, 5, 400).reshape(20, 20)
    maps[1] = maps[0] / 1000
    scaled = feature_maps.scaled(maps)
    np.testing.assert_allclose(scaled[0], scaled[1], atol=1e-6)
    assert scaled[0].min() == 0 and scaled[0].max() == 1 and not scaled[2].any()


def test_feature_maps_are_drawn_beside_the_image():
    found = Activations("conv1", np.random.default_rng(0).random((64, 56, 56), np.float32),
                        np.zeros((60, 60, 3), np.uint8), "val_3.JPEG", 40)  # fmt: skip
    figure = feature_maps.draw_feature_maps(found, "conv1 of stage7, val_3.JPEG")
    image, maps = figure.axes
    assert image.images[0].get_array().shape == (60, 60, 3)
    assert faults(figure) == []
    # by hand: 10 columns of 56 with gaps of 2, 7 rows
    assert maps.images[0].get_array().shape == (7 * 58 - 2, 10 * 58 - 2)


def test_a_confusion_matrix_counts_each_image_once_in_its_cell():
    p = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 0, 0]]
    labels = np.array([0, 1, 0, 2, 2, -1])
    found = some_probabilities(count=6, classes=3, probabilities=p, labels=labels)
    matrix = confusion.confusion_matrix(found)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    pairs = [(c.label, c.answer, c.count, c.share) for c in confusion.top_confusions(matrix)]
    assert pairs == [(0, 1, 1, 0.5), (2, 0, 1, 0.5)]


def block_matrix(classes: int, size: int, seed: int = 0) -> np.ndarray:
    """A confusion matrix with groups of ``size`` classes, spread over all class indices."""
    generator = np.random.default_rng(seed)
    group = generator.permutation(classes) // size
    shares = np.where(group[:, None] == group[None], 0.3 / size, 0.1 / classes)
    shares += 0.6 * np.eye(classes)
    return np.stack([generator.multinomial(200, row / row.sum()) for row in shares])


def test_many_classes_are_grouped_by_mutual_confusion():
    matrix = block_matrix(200, 10)
    generator = np.random.default_rng(0)
    hidden = generator.permutation(200) // 10
    groups = confusion.similar_order(matrix)
    assert sorted(n for group in groups for n in group) == list(range(200))
    assert len(groups) == confusion.GROUPS
    assert all(len(set(hidden[group])) == 1 for group in groups)


def test_no_group_holds_all_classes_when_nothing_is_confused():
    groups = confusion.similar_order(np.eye(200, dtype=int) * 50)
    assert max(map(len, groups)) <= 30 and sum(map(len, groups)) == 200


@pytest.mark.parametrize("classes", [2, 20, 40, 41, 200])
def test_class_names_of_a_confusion_matrix_are_readable(classes):
    names = [f"{NAMES[n % len(NAMES)]}" for n in range(classes)]
    matrix = block_matrix(classes, 2)
    figure = confusion.draw_confusion(matrix, names, "Answers of stage7_dropout2/seed1")
    assert faults(figure) == []
    pixels = figure.axes[0].images[0].get_array()
    highest = 1 / (pixels[..., 3] ** 2).sum(axis=1)  # a row's shares are all of it
    np.testing.assert_allclose(highest, highest[0])


@pytest.mark.parametrize("width", [canvas.narrow, nullcontext])
def test_two_matrices_of_one_figure_share_no_id(width, tmp_path):
    with width():
        names = [f"class {n}" for n in range(60)]
        canvas.save(
            confusion.draw_confusion(block_matrix(60, 2), names, "Answers"), tmp_path / "c.svg"
        )
    ids = re.findall(r'\bid="([^"]+)"', (tmp_path / "c.svg").read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids)) and sum(id.startswith("shade-") for id in ids) == 4


def contrast(one, other):
    """Contrast of two colours (RGB, 0 to 1) by WCAG 2's formula."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "brightness"), [("light", 1.0), ("dark", 1.2)])
def test_a_number_in_a_shaded_cell_is_readable_on_light_and_dark_pages(theme, brightness):
    colours = {ink: canvas.DARK[ink] if theme == "dark" else ink for ink in (INK, PAPER)}
    page = np.array(to_rgb(colours[PAPER]))
    blue = np.minimum(1, brightness * np.array(to_rgb(canvas.BLUE)))
    style = (Path(page_module.__file__).parent / "page_files/report.css").read_text()
    assert "brightness(1.2)" in style
    for strength in np.linspace(0, 1, 101):
        cell = strength * blue + (1 - strength) * page
        assert contrast(to_rgb(colours[shades.ink_on(strength)]), cell) >= 3.7, strength
    assert contrast(blue, page) > 4.5  # the whole scale is seen


def test_an_empty_cell_is_transparent_and_each_sign_has_its_colour():
    pixels = shades.shaded(np.array([[0.0, 0.5, -1.0]]), canvas.ORANGE, canvas.BLUE)
    assert pixels[0, 0, 3] == 0
    np.testing.assert_allclose(pixels[0, 1], [*to_rgb(canvas.ORANGE), 0.5])
    np.testing.assert_allclose(pixels[0, 2], [*to_rgb(canvas.BLUE), 1.0])


NARROW_FIGURES = {
    **{f"confusion of {n}": (lambda n=n: confusion.draw_confusion(
        block_matrix(n, 2), [NAMES[k % len(NAMES)] for k in range(n)],
        "Answers of stage7_dropout2/seed1")) for n in (2, 20, 25, 26, 200)},
    **{f"stage {n}": (lambda n=n: architecture.draw_architecture(
        deploy(STAGES[n - 1]), f"{n} of 7")) for n in (1, 5, 7)},
    "filters": lambda: filters.draw_filters(
        np.random.default_rng(1).normal(size=(64, 3, 5, 5)),
        "conv1 of stage5_more_parameters/seed3"),
    "feature maps": lambda: feature_maps.draw_feature_maps(
        Activations("conv1", np.random.default_rng(0).random((64, 56, 56), np.float32),
                    np.zeros((60, 60, 3), np.uint8), "val_3.JPEG", 40),
        "conv1 of variant_modern/seed1, a drawn image"),
    "occlusion": lambda: occlusion_figure.draw_occlusions(
        [Occlusion(np.zeros((60, 60, 3), np.uint8), 1, 0.53, np.eye(15) - 0.2)] * 5,
        ["European fire salamander"] * 5, ["y" * 20] * 5,
        "What stage7_dropout2/seed1 looks at"),
    "folds": lambda: draw_folds(
        [StageFolds("7 + dropout 2 before the fully connected layers", [0.4, 0.5, None], 0.45,
                    (0.4, 0.5), None, None, 0.01, (-0.01, 0.03)),
         StageFolds("1 simple", [None, None, None])]),
    "search": lambda: search_plane.draw_search_plane(
        [search_plane.Point(10**-n, 10.0 ** -(n + 2), 0.1 * n, n > 1) for n in (1, 2, 3)]
        + [search_plane.Point(0.02, 0.001, None, False)],
        search_plane.Point(0.001, 0.00001, 0.3, True), ("base_lr", "weight_decay"),
        "Search of 7 + dropout 2: 10 trials"),
}  # fmt: skip


@pytest.mark.parametrize("name", NARROW_FIGURES)
@pytest.mark.parametrize("is_narrow", [False, True])
def test_every_figure_fits_a_phone_screen_with_readable_text(name, is_narrow):
    with canvas.narrow() if is_narrow else nullcontext():
        figure = NARROW_FIGURES[name]()
    assert faults(figure) == []
    if is_narrow:
        assert figure.get_figwidth() == canvas.NARROW
        # 4 inches on 368 pixels of a telephone of 400: 7 points are 9 pixels
        assert min(each.get_fontsize() for each in visible_texts(figure)) >= 7


STAGE_TITLES = [f"{stage.number} {stage.title}" for stage in STAGES]


def test_no_text_of_bars_accuracies_and_curves_overlaps():
    drawn = []
    long = [Bar(title, 0.4, (0.38, 0.42), paper_gain=0.01) for title in STAGE_TITLES]
    drawn.append(draw_bars(long, "Validation accuracy", 0.005, "a note\nof two lines"))
    drawn.append(draw_bars([Bar("1 simple", 0.9999), Bar("2", None)], "Two", chance=0.5))
    drawn.append(draw_bars([Bar("1 simple", None)], "Nothing has run"))
    drawn.append(
        draw_accuracies(
            [
                Accuracy("training\n1 crop", 0.99, 10_000, 0.6628),
                Accuracy("test", None),
            ],
            "Ensemble",
        )
    )
    history = [{"iteration": i, "train_loss": 3.0, "val_loss": 3.1, "val_accuracy": 0.5}
               for i in range(0, 100_000, 9000)]  # fmt: skip
    drawn.append(draw_curves({title: [history] for title in STAGE_TITLES}))
    drawn.append(draw_curves({STAGE_TITLES[5]: [history]}))
    everything = [*STAGE_TITLES, *(label_of(variant.name) for variant in VARIANTS)]
    drawn.append(draw_curves({label: [history] for label in everything}))
    bars = [Bar(label, 0.4, (0.38, 0.42), 0.01, (0.0, 0.02), 0.02) for label in everything]
    drawn.append(draw_bars(bars, "With variants", 0.05, "a note\nof\nthree lines"))
    for figure in drawn:
        assert faults(figure) == []
