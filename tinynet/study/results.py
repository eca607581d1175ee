"""The results folder of an experiment: small files, the only ones that a report reads.

    RESULTS/
      experiment.json                what was asked: data, splits, schedules, seeds, command
      STAGE/RUN/run.json             how the run went (no paths, no host: it may be published)
      STAGE/RUN/history.jsonl        its learning curves
      STAGE/RUN/scores.json          loss, top-1 and top-5 of each split and crop mode
      STAGE/RUN/SPLIT[_10crop].npz   its probabilities, rounded to 12 bits where no answer changes
      STAGE/RUN/SPLIT[_10crop]_guesses.npz   the five best guesses, of a run that enters no average
      STAGE/RUN/first_layer.npz      its first layer's filters, for figures 3 and 4
      dissection.json, .csv          the table: every stage and seed, gains and intervals

The files of a run are there when it is finished, and only then.  A stage and seed without them is
"not run" in the table.  Accuracies lie between 0 and 1, losses are in nats.  Nothing is chosen on
the reported split; choices may be made on the tuning split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tinynet import files
from tinynet.dataset import old_names
from tinynet.errors import TinynetError
from tinynet.experiment.paper import PaperStage
from tinynet.experiment.stages import STAGES
from tinynet.predict.guesses import Predictions, read_predictions
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.run.paths import RunPaths
from tinynet.study.settings import Settings, Split

VERSION = 2
FINISHED, NOT_RUN, DIVERGED = "finished", "not run", "diverged"
SCORES = "scores.json"  # of a run, in its folder

TAKEN_AGAIN = (
    "remove its folder from the results, and the same 'tinynet dissect' command takes it from the "
    "run again, or trains it where that is gone"
)


# ------------------------------------------------------------------------- what the table holds


@dataclass(frozen=True)
class Score(Metrics):
    """The score of a run, or an average of runs, on a split."""

    views: int  # inputs averaged an image: 1, 2 (image and mirror) or 10

    @classmethod
    def of(cls, predictions: Predictions) -> Score:
        return cls(**asdict(predictions.metrics), views=predictions.views)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with two 95 % intervals that answer two questions.

    ``by_image``: if other images of the kind were reported, with these very runs (paired bootstrap
    over images); None if the images' own results are not kept.  ``by_seed``: if the nets were
    trained from other seeds, with these very images (Student's t over the seeds' values); None with
    fewer than two seeds.  ``deviation``: standard deviation of the seeds' values, None likewise.
    ``seeds``: those of the mean.
    """

    mean: float
    seeds: list[int] = field(default_factory=list)
    by_image: tuple[float, float] | None = None
    by_seed: tuple[float, float] | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class RunRow:
    """One training.  ``scores``: by "SPLIT_CROP", as in "test_oversample"."""

    run: str  # STAGE/NAME, its folder here
    seed: int
    state: str  # FINISHED, DIVERGED or NOT_RUN
    iterations: int = 0
    scores: dict[str, Score] = field(default_factory=dict)

    def score(self, split: str, crop: str = CENTER) -> Score | None:
        return self.scores.get(f"{split}_{crop}")


def absence(runs: Iterable[RunRow]) -> str:
    """What a table shows in place of a result that these runs do not have."""
    return DIVERGED if any(run.state == DIVERGED for run in runs) else NOT_RUN


@dataclass(frozen=True)
class StageRow:
    """One stage, or a variant, of the dissection.

    ``one_crop``, ``ten_crop``: accuracy on the reported split; ``training``: on the training
    images, or a fixed sample of them, in the TEST phase (``training_images`` says on how many);
    ``loss``: on the reported split, one crop.  They are means over the seeds that have run, None
    where none has.  ``gain``: in one-crop accuracy over the stage ``gain_over``, for the seeds that
    both have.  ``tuning``: accuracy over crops on the tuning images, None if none were held out;
    ``tuning_less_reported``: how much more that is than ``ten_crop``, its ``by_image`` that of two
    independent samples of images.
    """

    number: int
    name: str
    title: str
    change: str
    epochs: int
    runs: list[RunRow]
    paper: PaperStage
    one_crop: Estimate | None = None
    ten_crop: Estimate | None = None
    training: Estimate | None = None
    loss: float | None = None
    gain: Estimate | None = None
    gain_over: str = ""
    tuning: Estimate | None = None
    tuning_less_reported: Estimate | None = None

    @property
    def finished(self) -> list[RunRow]:
        return [run for run in self.runs if run.state == FINISHED]

    @property
    def done(self) -> str:
        """How many seeds have run of how many, and how many diverged: "2/3, 1 diverged"."""
        diverged = sum(run.state == DIVERGED for run in self.runs)
        lost = f", {diverged} {DIVERGED}" if diverged else ""
        return f"{len(self.finished)}/{len(self.runs)}{lost}"

    @property
    def absence(self) -> str:
        """What a table shows in place of a result that no seed has: diverged, or not run."""
        return absence(self.runs)

    @property
    def training_images(self) -> int:
        """The number of images on which ``training`` was measured, the same for every run; or 0."""
        if self.training is None:
            return 0
        measured = [run for run in self.finished if run.seed in self.training.seeds]
        return next((s.images for run in measured if (s := run.score("train")) is not None), 0)

    @property
    def is_step(self) -> bool:
        """Whether it is one of the paper's stages, not a variant or another net."""
        return any(stage.name == self.name for stage in STAGES)

    @property
    def label(self) -> str:
        """Its name in a table: a stage's number and title, a variant's stage and title."""
        if self.is_step:
            return f"{self.number} {self.title}"
        return f"variant of {self.number}: {self.title}" if self.number else self.title


@dataclass(frozen=True)
class Subset:
    """A subset of the members, counted from 1, and its ten-crop accuracy on both splits."""

    members: list[int]
    reported: float
    tuning: float | None


@dataclass(frozen=True)
class Ensemble:
    """The last stage: the average of all members' ten-crop probabilities.

    ``members`` are in order; the first ones are runs of the stage before it, in that stage's
    folders.  Where some have not run, ``full`` and the fields after it are None, and ``so_far`` is
    the average of those that have (never to be shown as the full one).  ``gain_over_mean``: over
    the mean member.  ``chosen``: the best subset by the tuning split; ``flattered``: by the
    reported images themselves.  By how much the second is better on those images is the optimism
    of choosing on what one reports.
    """

    number: int
    name: str
    title: str
    members: list[RunRow]
    paper: PaperStage
    full: Score | None = None
    full_by_image: tuple[float, float] | None = None
    gain_over_mean: Estimate | None = None
    gain_over_best: float | None = None  # over the member that is best on the tuning split
    deviation: float | None = None  # of the members' ten-crop accuracies
    chosen: Subset | None = None
    flattered: Subset | None = None
    so_far: Score | None = None

    @property
    def label(self) -> str:
        """Its name in a table where it is the paper's last stage."""
        return f"{self.number} {self.title}"

    @property
    def finished(self) -> list[RunRow]:
        return [run for run in self.members if run.state == FINISHED]

    @property
    def is_papers(self) -> bool:
        """Whether it is the paper's last stage, not an average of other runs."""
        return self.paper.validation is not None

    @property
    def accuracy(self) -> Estimate | None:
        """The accuracy of all members averaged, with its interval by image."""
        return None if self.full is None else Estimate(self.full.top1, by_image=self.full_by_image)


@dataclass(frozen=True)
class Dissection:
    """The whole table.  ``settings`` are those of experiment.json; the two splits are theirs."""

    settings: Settings
    reported: Split
    tuning: Split | None
    stages: list[StageRow]
    variants: list[StageRow]
    oversampling: Estimate | None  # gain of ten crops over one, last single stage, same runs
    ensemble: Ensemble | None
    version: int = VERSION


# ------------------------------------------------------------------------------- the files


@dataclass(frozen=True)
class ResultsPaths:
    """The files of a results folder."""

    root: Path

    @property
    def experiment(self) -> Path:
        return self.root / "experiment.json"

    @property
    def table(self) -> Path:
        return self.root / "dissection.json"

    @property
    def csv(self) -> Path:
        return self.root / "dissection.csv"

    def run(self, run: str) -> RunPaths:
        """The files of a run, by STAGE/NAME: named as in a run directory."""
        return RunPaths(self.root / run)

    def scores(self, run: str) -> Path:
        return self.root / run / SCORES

    def row(self, run: str, seed: int) -> RunRow:
        """A run's row: with its scores if it is finished, "not run" if it is not there."""
        path = self.scores(run)
        try:
            return files.typed(RunRow, files.read_json(path))
        except FileNotFoundError:
            return RunRow(run, seed, NOT_RUN)
        except TinynetError as error:
            raise TinynetError(f"{error}; {TAKEN_AGAIN}") from None
        except ValueError as error:
            raise TinynetError(f"{path}: cannot be read ({error}); {TAKEN_AGAIN}") from None

    def predictions(self, run: str, split: str, crop: str) -> Predictions:
        """Read a finished run's answers.  Raises OSError or TinynetError if there are none."""
        return read_predictions(self.run(run), split, crop == OVERSAMPLE, TAKEN_AGAIN)


def read_dissection(root: Path) -> Dissection:
    """Read ``dissection.json``.  Raises TinynetError if it is missing or of another form."""
    path = ResultsPaths(root).table
    try:
        content = old_names.read_json(path)
        if isinstance(content, dict) and content.get("version") != VERSION:
            raise ValueError(
                f"it is of version {content.get('version')}, not {VERSION}; the 'tinynet dissect' "
                "command of its experiment.json, with --collect, makes it again"
            )
        return files.typed(Dissection, content)
    except FileNotFoundError:
        raise TinynetError(f"{path}: no such file; 'tinynet dissect' writes it") from None
    except ValueError as error:
        raise TinynetError(f"{path}: is not a valid dissection ({error})") from None


def write_dissection(root: Path, dissection: Dissection) -> None:
    """Write ``dissection.json`` and ``dissection.csv``, each whole or not at all."""
    paths = ResultsPaths(root)
    paths.root.mkdir(parents=True, exist_ok=True)
    files.write_json(paths.table, dissection)
    files.write_text(paths.csv, as_csv(dissection))


CSV_COLUMNS = (
    *("stage", "name", "run", "seed", "state", "epochs", "iterations"),
    *("one_crop_accuracy", "one_crop_loss", "ten_crop_accuracy", "training_accuracy"),
    *("tuning_one_crop_accuracy", "tuning_ten_crop_accuracy", "training_images"),
)


def as_csv(dissection: Dissection) -> str:
    """One line for each stage and seed, then the members; empty cells where nothing was run."""
    lines: list[Iterable[object]] = [CSV_COLUMNS]
    for number, name, epochs, row in _all_runs(dissection):
        cells = _csv_scores(row, dissection)
        ran = row.iterations if row.state == FINISHED else ""
        lines.append([number, name, row.run, row.seed, row.state, epochs, ran, *cells])
    return files.csv_text(lines)


def finished_runs(dissection: Dissection) -> list[str]:
    """STAGE/NAME of every run that the table has scores of, each once."""
    return [row.run for _, _, _, row in _all_runs(dissection) if row.state == FINISHED]


def _all_runs(dissection: Dissection) -> Iterator[tuple[int, str, int, RunRow]]:
    for stage in (*dissection.stages, *dissection.variants):
        for row in stage.runs:
            yield stage.number, stage.name, stage.epochs, row
    ensemble = dissection.ensemble
    if ensemble is not None:
        epochs = dissection.settings.epochs
        seen = {row.run for stage in dissection.stages for row in stage.runs}
        for row in ensemble.members:
            if row.run not in seen:
                yield ensemble.number, ensemble.name, epochs.get(row.run.split("/")[0], 0), row


def _csv_scores(row: RunRow, dissection: Dissection) -> list[str]:
    reported = dissection.reported.name
    tuning = dissection.tuning.name if dissection.tuning else ""
    one = row.score(reported)
    wanted = [
        one and one.top1,
        one and one.loss,
        *(
            score and score.top1
            for score in (
                row.score(reported, OVERSAMPLE),
                row.score("train"),
                row.score(tuning),
                row.score(tuning, OVERSAMPLE),
            )
        ),
    ]
    train = row.score("train")
    cells = ["" if value is None else f"{value:.6g}" for value in wanted]
    return [*cells, "" if train is None else str(train.images)]
