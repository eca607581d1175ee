"""The results that the paper's text states (section 4), in percent, for comparison with ours.

Its figures 5 to 7 are images; only numbers in the text are here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperStage:
    """The paper's results for one stage, in percent or percentage points; None: not stated.

    ``gain``: in validation accuracy over the stage before it; ``loss``: validation loss in nats.
    """

    validation: float | None = None
    training: float | None = None
    gain: float | None = None
    loss: float | None = None


STAGES: dict[int, PaperStage] = {
    1: PaperStage(),
    2: PaperStage(gain=4.88),
    3: PaperStage(gain=3.09),
    4: PaperStage(gain=1.2),
    5: PaperStage(training=67.76),
    6: PaperStage(training=88.60),
    # accuracy and loss are those of the best of the 11 models (4.1)
    7: PaperStage(validation=44.90, training=66.28, gain=4.52, loss=2.368),
    8: PaperStage(validation=49.02, gain=2.58),  # over the best member's 10 crops, 46.44
}
OVERSAMPLING_GAIN = 1.5
BEST_MEMBER_TEN_CROPS = 46.4
ENSEMBLE = 49.02
ENSEMBLE_TEST = 44.0
BEST_SUBSET = 49.06
BEST_SUBSET_SIZE = 8
MEMBERS_DEVIATION = 0.37  # standard deviation of the members' validation accuracies
MEMBERS_RANGE = (45.21, 46.44)  # with ten crops
