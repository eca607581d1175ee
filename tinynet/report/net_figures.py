"""The figures of a net itself: architecture, first layer's filters and feature maps, occlusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tinynet.caffeformat import schema, text
from tinynet.dataset.image_set import IMAGE_SIZE
from tinynet.dataset.paths import SPLITS
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment import data_description as dataset
from tinynet.experiment import nets
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.stages import STAGES
from tinynet.predict import inputs
from tinynet.predict.activations import Activations, first_feature_maps
from tinynet.predict.occlusion import occlusions
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.report import feature_maps as maps_figure
from tinynet.report import figure_numbers, occlusion_figure, picks
from tinynet.report import filters as filters_figure
from tinynet.report.architecture import blocks_of, describe, draw_architecture
from tinynet.report.figure import Absent, Figure, FigureOptions
from tinynet.report.images import fitted, read_image, stand_in
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.run.paths import RunPaths


def architecture(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figures 1 and 2: every stage in order, then other nets that have run, from their prototxt."""
    order = [stage.label for stage in STAGES]
    found = sorted(
        _nets(report_data, options),
        key=lambda net: order.index(net[0]) if net[0] in order else len(order),
    )
    if not found:
        raise Absent(
            f"no deploy.prototxt of a stage is in {options.prototxt} or the runs; 'tinynet "
            "generate' writes them, --prototxt DIR says where they lie"
        )
    for label, stem, net in found:
        yield Figure(
            f"architecture_{stem}",
            f"Stage {label}" if label[:1].isdigit() else label,
            "Boxes are feature maps (height × width × channels), bars are fully connected layers; "
            "ReLU and dropout are named below what they work on.",
            describe(net),
            [],
            partial(draw_architecture, net, title=label),
            partial(figure_numbers.blocks, blocks_of(net)),
        )


def _nets(
    report_data: ReportData, options: FigureOptions
) -> Iterator[tuple[str, str, schema.NetParameter]]:
    """(label, stem, net) of each stage: as run, else as generated for the data's classes."""
    done = set()
    for run in report_data.runs:
        wanted = options.stage is None or (run.stage and run.stage.number == options.stage)
        deploy = RunPaths(run.whole or run.folder).deploy  # a results folder has none
        if wanted and run.label not in done and deploy.exists():
            done.add(run.label)
            yield run.label, run.stage_name, text.read(deploy, schema.NetParameter)
    for stage in STAGES:
        label = stage.label
        path = StagePaths(options.prototxt, stage.name, 1 if stage.is_ensemble else None).deploy
        asked = options.stage == stage.number or (options.stage is None and not stage.is_ensemble)
        if asked and label not in done and path.exists():
            done.add(label)
            net = text.read(path, schema.NetParameter)
            units = net.layer[-2].inner_product_param.num_output
            if report_data.classes not in (0, units):
                net = nets.deploy(stage, dataset.describe(None, report_data.classes))
            yield label, stage.name, net


def _preferred(report_data: ReportData) -> list[RunData]:
    """The best single model, then all runs from the last on."""
    best = report_data.best
    return ([best] if best is not None else []) + report_data.runs[::-1]


def _chosen(report_data: ReportData) -> RunData:
    """The best single model if its weights or first layer are here, else the last run with them."""
    for run in _preferred(report_data):
        if run.weights is not None or run.first_layer is not None:
            return run
    if report_data.dissection is not None:
        raise Absent(
            "these results keep no first layer: an earlier release collected them. 'tinynet "
            "dissect' with --collect adds it where the run directories are still there; 'tinynet "
            "report RUN' draws it from the weights"
        )
    raise Absent("no run here has a snapshot: name the run directory, which holds the weights")


def filters(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figure 3: the first layer of the best single model."""
    run = _chosen(report_data)
    if run.weights is not None:
        layer, found = filters_figure.first_filters(run.weights.path)
        iteration = run.weights.iteration
    else:
        kept = run.first_layer
        assert kept is not None
        layer, found, iteration = kept.layer, kept.filters[:, ::-1], kept.iteration
    yield Figure(
        "filters",
        "Filters of the first layer",
        f"{layer} of {run.name} at iteration {iteration:,}. First scaled as in the paper, by one "
        "range, which a few peaked filters widen until all look grey; then by two other ranges.",
        filters_figure.describe(found),
        [run.name],
        lambda: filters_figure.draw_filters(found, f"{layer} of {run.name}"),
        lambda: figure_numbers.filters(found),
    )


def feature_maps(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Figure 4: what the first layer makes of one image.

    Computed by a worker where the weights are at hand, else from the first layer that was kept.
    """
    run = _chosen(report_data)
    try:
        name, pixels = _image(report_data, run, options.image)
        bgr = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1))
        if run.weights is not None:
            found = first_feature_maps(run.whole or run.folder, name, bgr, options.engine)
        else:
            found = _from_kept(run, name, bgr)
    except UsageError:
        raise
    except TinynetError as error:
        raise Absent(str(error)) from error
    yield Figure(
        "feature_maps",
        "Feature maps of the first layer",
        f"Blob {found.blob} of {run.name} at iteration {found.iteration:,}, after its "
        f"nonlinearity, for {found.name}; each map by its own range, black to white.",
        maps_figure.describe(found),
        [run.name],
        lambda: maps_figure.draw_feature_maps(found, f"{found.blob} of {run.name}, {found.name}"),
        lambda: figure_numbers.maps(found.maps),
    )


def _image(report_data: ReportData, run: RunData, asked: str | None) -> tuple[str, np.ndarray]:
    """Name and pixels (uint8, height × width × R, G, B) of an image to show the net.

    ``asked``: an image of --data or of the run's validation split, or a file with an image of any
    size; None: the first image of --data, else a drawn one.
    """
    images = report_data.page_images
    manifest = report_data.manifest
    size = (manifest.shape[1], manifest.shape[2]) if manifest else (IMAGE_SIZE, IMAGE_SIZE)
    if asked is None:
        for split in (report_data.reported, "val"):
            for name in images.names(split)[:1]:
                return name, images.pixels(name, "", split)
        return "a drawn image", fitted(Image.fromarray(stand_in()), size)
    if any(asked in images.names(split) for split in SPLITS):
        return asked, images.pixels(asked, "")
    own = _own_image(run, asked)
    if own is not None:
        return asked, own
    if not Path(asked).is_file():
        raise UsageError(
            f"--image {asked}: neither an image of --data or of the run's validation split, nor a "
            "file that is there"
        )
    return Path(asked).name, read_image(Path(asked), size)


def _own_image(run: RunData, name: str) -> np.ndarray | None:
    """An image of the run's validation split; None if it has none of that name, or no data."""
    try:
        images = inputs.find_images(RunPaths(run.whole or run.folder), "val")
    except (TinynetError, OSError):
        return None
    if name not in images.names:
        return None
    ((pixels, _),) = replace(images, chosen=[images.names.index(name)]).records()
    return np.frombuffer(pixels, np.uint8).reshape(images.shape)[::-1].transpose(1, 2, 0)


def _from_kept(run: RunData, name: str, bgr: np.ndarray) -> Activations:
    kept = run.first_layer
    assert kept is not None
    seen = kept.seen(bgr)[::-1].transpose(1, 2, 0)
    return Activations(kept.layer, kept.maps(bgr), seen, name, kept.iteration)


_OCCLUDED = 5  # images of the figure of occlusions


def occlusion(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Where the best single model looks: images of --data, and what hiding each part costs."""
    images = report_data.page_images
    if not images.are_real:
        raise Absent("this needs images of the data set: name the converted one with --data")
    run = next((run for run in _preferred(report_data) if run.weights is not None), None)
    if run is None:
        raise Absent("no run here has a snapshot: name the run directory, which holds the weights")
    said = run.says(report_data.reported)
    said = run.says(report_data.reported, OVERSAMPLE) if said is None else said
    if said is None:
        raise Absent(f"{run.name} has no answers for the reported images; 'tinynet evaluate RUN'")
    chosen = picks.at_random(picks.as_guesses(said), _OCCLUDED)
    truths = [report_data.class_name(int(said.labels[at])) for at in chosen]
    try:
        pixels = [images.pixels(str(said.names[at]), "", report_data.reported) for at in chosen]
        bgr = [np.ascontiguousarray(each[:, :, ::-1].transpose(2, 0, 1)) for each in pixels]
        found = occlusions(run.whole or run.folder, bgr, options.engine)
    except TinynetError as error:
        raise Absent(str(error)) from error
    answers = [report_data.class_name(each.answer) for each in found]
    assert run.weights is not None
    yield Figure(
        "occlusion",
        "Where an answer comes from",
        f"Images drawn at random by a fixed seed, and {run.name} at iteration "
        f"{run.weights.iteration:,}. A grey patch, a quarter as wide as the image, hides one part "
        "after another: orange is where the answer's probability falls, blue where it rises.",
        occlusion_figure.describe(found, truths, answers),
        [run.name],
        lambda: occlusion_figure.draw_occlusions(
            found, truths, answers, f"What {run.name} looks at"
        ),
        lambda: figure_numbers.occlusions(found, truths, answers),
    )
