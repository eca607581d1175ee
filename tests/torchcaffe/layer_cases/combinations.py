"""Layers that join, cut, reshape and sum up blobs."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import PAIR, THREE, Case, Inputs, whole

_TIES: Inputs = {name: whole(seed, (4, 6), 3) for seed, name in enumerate("abc")}

COMBINATIONS = {
    "sum": Case("Eltwise", inputs=PAIR),
    "sum coeff": Case("Eltwise", "eltwise_param { coeff: [0.5, -1, 2] }", THREE),
    "product": Case("Eltwise", "eltwise_param { operation: PROD }", THREE),
    "product by division": Case(
        "Eltwise", "eltwise_param { operation: PROD stable_prod_grad: false }", THREE
    ),
    "max": Case("Eltwise", "eltwise_param { operation: MAX }", THREE),
    "max of ties": Case("Eltwise", "eltwise_param { operation: MAX }", _TIES),
    "concat": Case("Concat", "", {"a": (2, 3, 4), "b": (2, 1, 4), "c": (2, 5, 4)}),
    "concat axis": Case("Concat", "concat_param { axis: -1 }", {"a": (2, 3), "b": (2, 4)}),
    "concat batches": Case("Concat", "concat_param { axis: 0 }", {"a": (2, 3), "b": (4, 3)}),
    "concat dim": Case(
        "Concat", "concat_param { concat_dim: 2 }", {"a": (2, 3, 1), "b": (2, 3, 4)}
    ),
    "concat one": Case("Concat"),
    "slice equal": Case("Slice", "", {"x": (2, 6, 3)}, "y z w"),
    "slice points": Case("Slice", "slice_param { slice_point: [1, 4] }", {"x": (2, 6, 3)}, "y z w"),
    "slice axis": Case("Slice", "slice_param { axis: -1 slice_point: 2 }", {"x": (2, 3, 5)}, "y z"),
    "slice dim": Case("Slice", "slice_param { slice_dim: 0 }", {"x": (4, 3)}, "y z"),
    "slice one": Case("Slice"),
    "flatten": Case("Flatten"),
    "flatten axes": Case("Flatten", "flatten_param { axis: -3 end_axis: 2 }"),
    "flatten all": Case("Flatten", "flatten_param { axis: 0 }"),
    "reshape": Case("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 2 } }"),
    "reshape to a vector": Case("Reshape", "reshape_param { shape { dim: -1 } }"),
    "reshape axis": Case(
        "Reshape", "reshape_param { shape { dim: 3 dim: 1 } axis: 1 num_axes: 1 }"
    ),
    "reshape adds an axis": Case(
        "Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }"
    ),
    "reshape drops axes": Case(
        "Reshape", "reshape_param { shape { dim: -1 } axis: 1 num_axes: 2 }"
    ),
    "reduction": Case("Reduction"),
    "reduction sum coeff": Case("Reduction", "reduction_param { axis: 1 coeff: -0.5 }"),
    "reduction mean": Case("Reduction", "reduction_param { operation: MEAN axis: 2 coeff: 3 }"),
    "reduction asum": Case("Reduction", "reduction_param { operation: ASUM axis: -1 }"),
    "reduction asum of zeros": Case(
        "Reduction", "reduction_param { operation: ASUM axis: 1 }", {"x": whole(1, (3, 9), 2, -1)}
    ),
    "reduction sumsq": Case("Reduction", "reduction_param { operation: SUMSQ axis: 1 coeff: 2 }"),
    "silence": Case("Silence", "", PAIR, ""),
}
