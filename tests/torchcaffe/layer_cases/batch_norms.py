"""BatchNorm; its answers need a Caffe that normalizes by batch."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import Case

BATCH_NORMS = {
    "batch norm": Case("BatchNorm"),
    "batch norm rows": Case("BatchNorm", inputs={"x": (6, 3)}),
    "batch norm five axes": Case("BatchNorm", inputs={"x": (2, 3, 2, 3, 2)}),
    "batch norm one value": Case("BatchNorm", "batch_norm_param { eps: 0.1 }", {"x": (1, 4)}),
    "batch norm fraction eps": Case(
        "BatchNorm", "batch_norm_param { moving_average_fraction: 0.6 eps: 0.01 }"
    ),
    "batch norm in test, without statistics": Case("BatchNorm", phase=1),
    "batch norm of the batch in test": Case(
        "BatchNorm", "batch_norm_param { use_global_stats: false }", phase=1
    ),
    "batch norm global in train": Case(
        "BatchNorm",
        "batch_norm_param { use_global_stats: true } blobs { shape { dim: 3 } data: [1, -1, 2] } "
        "blobs { shape { dim: 3 } data: [4, 1, 9] } blobs { shape { dim: 1 } data: 2.5 }",
        {"x": (2, 3, 2)},
    ),
}
