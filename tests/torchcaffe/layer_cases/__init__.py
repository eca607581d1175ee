"""Nets of one layer each, in many settings: what the comparisons and gradient checks run over."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.batch_norms import BATCH_NORMS
from tests.torchcaffe.layer_cases.case import Case, positive, whole
from tests.torchcaffe.layer_cases.clips import CLIPS
from tests.torchcaffe.layer_cases.combinations import COMBINATIONS
from tests.torchcaffe.layer_cases.convolutions import (
    CONVOLUTIONS,
    DECONVOLUTIONS,
    IM2COLS,
    PYRAMIDS,
)
from tests.torchcaffe.layer_cases.losses import LOSSES
from tests.torchcaffe.layer_cases.neurons import NEURONS
from tests.torchcaffe.layer_cases.normalizations import NORMALIZATIONS
from tests.torchcaffe.layer_cases.recurrent import RECURRENT
from tests.torchcaffe.layer_cases.selections import SELECTIONS
from tests.torchcaffe.layer_cases.stages import STAGES

__all__ = ["FAMILIES", "LAYERS", "Case", "positive", "whole"]

#: by the name of the family's file under golden/layers
FAMILIES: dict[str, dict[str, Case]] = {
    "batch_norms": BATCH_NORMS,
    "clips": CLIPS,
    "combinations": COMBINATIONS,
    "convolutions": {**CONVOLUTIONS, **DECONVOLUTIONS, **IM2COLS, **PYRAMIDS},
    "losses": LOSSES,
    "neurons": NEURONS,
    "normalizations": NORMALIZATIONS,
    "recurrent": RECURRENT,
    "selections": SELECTIONS,
    "stages": STAGES,
}
LAYERS = {name: case for family in FAMILIES.values() for name, case in family.items()}
