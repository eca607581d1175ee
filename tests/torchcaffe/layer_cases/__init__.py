"""Nets of one layer each, in many settings: what the comparisons and gradient checks run over."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import Case, positive, whole
from tests.torchcaffe.layer_cases.combinations import COMBINATIONS
from tests.torchcaffe.layer_cases.convolutions import CONVOLUTIONS
from tests.torchcaffe.layer_cases.losses import LOSSES
from tests.torchcaffe.layer_cases.neurons import NEURONS
from tests.torchcaffe.layer_cases.normalizations import NORMALIZATIONS
from tests.torchcaffe.layer_cases.recurrent import RECURRENT

__all__ = ["FAMILIES", "LAYERS", "Case", "positive", "whole"]

#: by the name of the family's file under golden/layers
FAMILIES: dict[str, dict[str, Case]] = {
    "combinations": COMBINATIONS,
    "convolutions": CONVOLUTIONS,
    "losses": LOSSES,
    "neurons": NEURONS,
    "normalizations": NORMALIZATIONS,
    "recurrent": RECURRENT,
}
LAYERS = {name: case for family in FAMILIES.values() for name, case in family.items()}
