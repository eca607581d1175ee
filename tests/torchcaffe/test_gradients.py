"""The gradient of every layer type equals central differences of its output."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torchcaffe.gradient_check import check_gradients
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.layer_cases.recurrent import RECURRENT
from tests.torchcaffe.layer_cases.stages import STOCHASTIC

# at a kink, or where whole numbers tie, there is no slope to compare with; and Caffe's MVN leaves
# its eps out of the slope of the standard deviation
_KINKS = ("max of ties", "reduction asum of zeros", "mvn across channels")
# their hidden state carries over from one forward pass to the next; they have their own test
_ELSEWHERE = (*_KINKS, *RECURRENT)
CASES = {
    name: case
    for name, case in {**LAYERS, **STOCHASTIC}.items()
    if name not in _ELSEWHERE and case.type != "Threshold"
}


@pytest.mark.parametrize("name", CASES)
def test_backward_equals_central_differences(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    check_gradients(
        case.text, case.arrays, case.driven_tops, case.learned_inputs, tmp_path, case.phase
    )
