"""Layers that scale and shift: by statistics, and by what they learn."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import ROW, UNIFORM, WIDE, Case

NORMALIZATIONS = {
    "lrn": Case("LRN", inputs=WIDE),
    "lrn k alpha beta": Case("LRN", "lrn_param { local_size: 3 alpha: 0.9 beta: 0.4 k: 2 }", WIDE),
    "lrn beyond all channels": Case("LRN", "lrn_param { local_size: 11 alpha: 2 }"),
    "lrn 1": Case("LRN", "lrn_param { local_size: 1 alpha: 2 }"),
    "lrn within": Case(
        "LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 0.9 k: 5 }"
    ),
    "lrn within wider than the image": Case(
        "LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 7 alpha: 3 beta: 0.5 }"
    ),
    "mvn": Case("MVN", inputs=WIDE),
    "mvn across channels": Case("MVN", "mvn_param { across_channels: true eps: 0.1 }", WIDE),
    "mvn without variance": Case("MVN", "mvn_param { normalize_variance: false }", WIDE),
    "mvn mean of all channels": Case(
        "MVN", "mvn_param { normalize_variance: false across_channels: true }", WIDE
    ),
    "mvn of two axes": Case("MVN", "mvn_param { across_channels: true }", ROW),
    "mvn of single values": Case("MVN", "mvn_param { eps: 0.5 }", ROW),
    "mvn of three axes": Case("MVN", inputs={"x": (2, 3, 5)}),
    "scale": Case("Scale"),
    "scale filler bias": Case(
        "Scale",
        f"scale_param {{ {UNIFORM} bias_term: true bias_{UNIFORM} }}",
    ),
    "scale rows": Case("Scale", f"scale_param {{ {UNIFORM} bias_term: true }}", ROW),
    "scale scalar": Case(
        "Scale", f"scale_param {{ axis: 0 num_axes: 0 {UNIFORM} bias_term: true }}"
    ),
    "scale two axes": Case("Scale", f"scale_param {{ num_axes: 2 {UNIFORM} bias_term: true }}"),
    "scale to the end": Case("Scale", f"scale_param {{ axis: -2 num_axes: -1 {UNIFORM} }}"),
    "scale everything": Case("Scale", f"scale_param {{ axis: 0 num_axes: -1 {UNIFORM} }}"),
    "scale one image": Case("Scale", f"scale_param {{ {UNIFORM} }}", {"x": (1, 3, 2, 2)}),
    "scale by a bottom": Case("Scale", "", {"x": (3, 4, 2, 2), "s": (4,)}),
    "scale by a bottom, biased": Case(
        "Scale",
        f"scale_param {{ axis: 0 bias_term: true bias_{UNIFORM} }}",
        {"x": (3, 4, 5), "s": (3, 4)},
    ),
    "scale by a scalar bottom": Case("Scale", "", {"x": (3, 4, 5), "s": ()}),
    "scale by a bottom of its shape": Case(
        "Scale", "scale_param { axis: 0 }", {"x": (3, 4), "s": (3, 4)}
    ),
    "bias": Case("Bias", f"bias_param {{ {UNIFORM} }}"),
    "bias default": Case("Bias"),
    "bias scalar": Case("Bias", f"bias_param {{ num_axes: 0 {UNIFORM} }}"),
    "bias axes": Case("Bias", f"bias_param {{ axis: -3 num_axes: 2 {UNIFORM} }}"),
    "bias everything": Case("Bias", f"bias_param {{ axis: 0 num_axes: -1 {UNIFORM} }}", ROW),
    "bias by a bottom": Case("Bias", "bias_param { axis: 2 }", {"x": (2, 4, 5, 2), "b": (5,)}),
    "bias by a scalar bottom": Case("Bias", "", {"x": (3, 4), "b": ()}),
}
