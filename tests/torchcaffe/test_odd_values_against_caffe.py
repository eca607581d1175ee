"""What Caffe accepts though it is hardly useful: Eltwise in place, full Dropout, empty blobs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.layer_cases import Case
from tests.torchcaffe.small_nets import Shape, layer, net, one, x_of

_INPUTS: dict[str, Shape | np.ndarray] = dict.fromkeys("abc", (2, 3, 4))
OPERATIONS = {
    "sum": "",
    "weighted sum": "coeff: [0.5, -1, 2]",
    "product": "operation: PROD",
    "product by division": "operation: PROD stable_prod_grad: false",
    "max": "operation: MAX",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_eltwise_written_to_its_first_bottom_equals_real_caffes(name: str, ask_both: Ask) -> None:
    case = Case("Eltwise", f"eltwise_param {{ {OPERATIONS[name]} }}", _INPUTS, "a")
    assert_same(*ask_both({**case.request, "passes": 1}, case.arrays))


def test_eltwise_written_to_another_bottom_is_refused(both_refuse: Callable[..., str]) -> None:
    case = Case("Eltwise", "", _INPUTS, "b")
    assert "top blob 'b' is produced by multiple sources" in both_refuse(case.request)


def test_a_sum_written_to_its_first_bottom_loses_that_bottom() -> None:
    """Caffe sets the top to 0 before it adds."""
    case = Case("Eltwise", "eltwise_param { coeff: [3, 2, 1] }", _INPUTS, "a")
    answer = both_engines.answer(caffe, {**case.request, "passes": 1}, case.arrays)
    expected = 2 * case.arrays["b"] + case.arrays["c"]
    np.testing.assert_allclose(answer["0/data/a"], expected, rtol=1e-6)


def test_dropout_of_everything_gives_nan_in_train_and_draws_nothing(ask_both: Ask) -> None:
    """0 · ∞ is NaN; the second layer's mask shows that the first drew no random numbers."""
    layers = layer("Dropout", "x", "y", "dropout_param { dropout_ratio: 1 }", "all")
    layers += layer("Dropout", "x", "z", "dropout_param { dropout_ratio: 0.4 }", "some")
    request = {"net": net(layers, ("x", (6, 50))), "backward": False, "passes": 2}
    real, ours = ask_both(request, x_of((6, 50)))
    assert np.isnan(real["1/data/y"]).all() and np.isnan(ours["1/data/y"]).all()
    np.testing.assert_array_equal(ours["1/data/z"], real["1/data/z"])


def test_the_diff_of_dropout_of_everything_is_nan(ask_both: Ask) -> None:
    text = one("Dropout", "dropout_param { dropout_ratio: 1 }", (2, 3))
    for answer in ask_both({"net": text, "top_diffs": ["y"]}, x_of((2, 3))):
        assert np.isnan(answer["0/diff/x"]).all()


def test_dropout_of_everything_passes_all_values_in_test(ask_both: Ask) -> None:
    text = one("Dropout", "dropout_param { dropout_ratio: 1 }", (2, 3))
    real, ours = ask_both({"net": text, "top_diffs": ["y"], "phase": 1}, x_of((2, 3)))
    assert_same(real, ours, 0)
    np.testing.assert_array_equal(ours["0/data/y"], x_of((2, 3))["x"])


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_dropout_ratio_outside_0_to_1_is_refused(ratio: float) -> None:
    text = one("Dropout", f"dropout_param {{ dropout_ratio: {ratio} }}", (2, 3))
    with pytest.raises(caffe.CaffeError, match=r"dropout_ratio must be in \[0, 1\]"):
        both_engines.answer(caffe, {"net": text}, x_of((2, 3)))


@pytest.mark.parametrize("shape", [(2, 0), (0, 3)])
@pytest.mark.parametrize("settings", ["axis: 0", "axis: 1", "coeff: -2", "axis: 1 coeff: 0"])
@pytest.mark.parametrize("operation", ["SUM", "MEAN", "SUMSQ"])
def test_a_reduction_of_a_blob_emptied_by_reshape_equals_real_caffes(
    operation: str, settings: str, shape: Shape, ask_both: Ask
) -> None:
    """A mean of nothing is NaN.  Real Caffe aborts if the blob has been empty from the start."""
    text = one("Reduction", f"reduction_param {{ operation: {operation} {settings} }}", (2, 3))
    request = {"net": text, "passes": 2, "shapes": [{}, {"x": shape}], "top_diffs": ["y"]}
    real, ours = ask_both(request, x_of((2, 3)))
    for name in ("0/data/y", "0/diff/x", "1/data/y", "1/diff/x"):
        np.testing.assert_allclose(ours[name], real[name], rtol=1e-6, err_msg=name)
