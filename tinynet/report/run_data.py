"""One run of a report, read from the files in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tinynet import files
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.errors import TinynetError
from tinynet.experiment.stages import STAGES, Stage
from tinynet.experiment.variants import net_of_folder
from tinynet.predict import inputs
from tinynet.predict.first_layer import FirstLayer, read_first_layer
from tinynet.predict.guesses import Predictions, read_guesses
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import (
    CENTER,
    EVALUATE_AGAIN,
    OVERSAMPLE,
    Probabilities,
    read_probabilities,
)
from tinynet.run import record as runs
from tinynet.run.log import Record, read_history
from tinynet.run.paths import RunPaths
from tinynet.study.results import TAKEN_AGAIN, ResultsPaths, RunRow


@dataclass(frozen=True, eq=False)
class RunData:
    """One run; its files are read when they are first asked for.

    ``folder``: a run directory, or a run's folder in the results.  ``whole``: for the latter, the
    run directory with its snapshots, if it is at hand.
    """

    folder: Path
    record: runs.Run
    whole: Path | None = None

    @property
    def name(self) -> str:
        """STAGE/NAME."""
        return self.paths.name

    @property
    def stage_name(self) -> str:
        return self.paths.stage_name

    @property
    def stage(self) -> Stage | None:
        """The stage whose folder it is in; None for a run of a bare solver or of a variant."""
        return next((stage for stage in STAGES if stage.name == self.stage_name), None)

    @property
    def label(self) -> str:
        """The name of its stage in a figure: number and title, or the folder's name."""
        return label_of(self.stage_name)

    @property
    def is_finished(self) -> bool:
        return self.record.state == runs.FINISHED

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.folder)

    @cached_property
    def history(self) -> list[Record]:
        return read_history(self.paths.history)

    @property
    def _scores(self) -> Path:
        """The run's scores in a results folder; a run directory has no such file."""
        return ResultsPaths(self.folder.resolve().parent.parent).scores(self.name)

    @property
    def _remedy(self) -> str:
        return TAKEN_AGAIN if self._scores.is_file() else EVALUATE_AGAIN

    @cached_property
    def probabilities(self) -> dict[tuple[str, str], Probabilities]:
        """(split, crop) → probabilities, from the ``.npz`` files in the folder."""
        found: dict[tuple[str, str], Probabilities] = {}
        for path in sorted(self.folder.glob("*.npz")):
            if path == self.paths.first_layer or path.stem.endswith("_guesses"):
                continue
            probabilities = read_probabilities(path, self._remedy)
            split = probabilities.split or path.stem.removesuffix("_10crop")
            known = found.get((split, probabilities.crop))
            # a sample of a split may lie beside the whole split
            if known is None or len(known.names) < len(probabilities.names):
                found[(split, probabilities.crop)] = probabilities
        return found

    @cached_property
    def predictions(self) -> dict[tuple[str, str], Predictions]:
        """(split, crop) → guesses where they are kept, else probabilities."""
        found: dict[tuple[str, str], Predictions] = dict(self.probabilities)
        for path in sorted(self.folder.glob("*_guesses.npz")):
            guesses = read_guesses(path, self._remedy)
            found[(guesses.split, guesses.crop)] = guesses
        return found

    def ten_crops(self, split: str) -> Probabilities | None:
        """Labelled ten-crop probabilities of a split, which an ensemble averages, or None."""
        found = self.probabilities.get((split, OVERSAMPLE))
        return found if found is not None and found.labelled else None

    def says(self, split: str, crop: str = CENTER) -> Predictions | None:
        """The run's answers for a split's labelled images, or None."""
        found = self.predictions.get((split, crop))
        return found if found is not None and found.labelled else None

    def metrics(self, split: str, crop: str = CENTER) -> Metrics | None:
        found = self.says(split, crop)
        return None if found is None else found.metrics

    def score(self, split: str, crop: str) -> Metrics | None:
        """The metrics, or the score in a results folder where no answers were kept; or None."""
        found = self.metrics(split, crop)
        if found is not None or not self._scores.is_file():
            return found
        try:
            return files.typed(RunRow, files.read_json(self._scores)).score(split, crop)
        except (ValueError, TinynetError):
            return None

    def top1(self, split: str, crop: str) -> float | None:
        """Top-1 accuracy; None: not measured."""
        found = self.score(split, crop)
        return None if found is None else found.top1

    @cached_property
    def weights(self) -> inputs.Weights | None:
        """The newest whole .caffemodel, or None if the folder holds none."""
        return inputs.newest_weights(RunPaths(self.whole or self.folder))[0]

    @cached_property
    def first_layer(self) -> FirstLayer | None:
        """The first layer that a results folder keeps, or None."""
        if not self.paths.first_layer.exists():
            return None
        return read_first_layer(self.paths.first_layer, self._remedy)

    @property
    def model_sha256(self) -> str:
        """The hash of the weights that were evaluated; else of the newest snapshot; else ""."""
        hashes = {p.model_sha256 for p in self.predictions.values() if p.model_sha256}
        if len(hashes) == 1:
            return hashes.pop()
        return self.weights.sha256 if self.weights else ""

    @property
    def manifest(self) -> Manifest | None:
        """The manifest beside the data that it was trained on, if that is still there."""
        for entry in self.record.data:
            path = Path(str(entry.get("path", "")))
            for folder in (path.parent, Path(self.record.folder) / path.parent):
                try:
                    return read_manifest(folder)
                except (TinynetError, OSError):
                    continue
        return None


def label_of(name: str) -> str:
    """The name in a figure of the stage or variant whose folder is ``name``; else ``name``."""
    found = net_of_folder(name)
    return name if found is None else found.label
