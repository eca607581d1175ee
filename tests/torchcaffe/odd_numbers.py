"""Nets of one layer whose numbers are 0, negative or huge; as a script, builds each of them.

The script prints a line for each net that neither works nor is refused in one line.  A child
process runs it with a memory limit, so that huge numbers cannot exhaust the test machine's memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HUGE = 2**31 - 1
LIMIT = 8 << 30  # bytes of address space

_BOTH = 'bottom: "x" top: "y"'
# type, parameter message, field, what else the layer needs
_FIELDS = (
    ("InnerProduct", "inner_product_param", "num_output", ""),
    ("InnerProduct", "inner_product_param", "axis", "num_output: 2"),
    ("Dropout", "dropout_param", "dropout_ratio", ""),
    ("LRN", "lrn_param", "local_size", ""),
    ("LRN", "lrn_param", "alpha", ""),
    ("LRN", "lrn_param", "beta", ""),
    ("LRN", "lrn_param", "k", ""),
    ("Softmax", "softmax_param", "axis", ""),
    ("ArgMax", "argmax_param", "top_k", ""),
    ("ArgMax", "argmax_param", "axis", ""),
    ("Concat", "concat_param", "axis", ""),
    ("Flatten", "flatten_param", "axis", ""),
    ("Flatten", "flatten_param", "end_axis", ""),
    ("Reduction", "reduction_param", "axis", ""),
    ("Scale", "scale_param", "axis", ""),
    ("Scale", "scale_param", "num_axes", ""),
    ("Bias", "bias_param", "axis", ""),
    ("Bias", "bias_param", "num_axes", ""),
    ("Tile", "tile_param", "tiles", ""),
    ("Tile", "tile_param", "axis", ""),
    ("SPP", "spp_param", "pyramid_height", ""),
    ("Im2col", "convolution_param", "kernel_size", ""),
    ("Power", "power_param", "power", ""),
    ("Power", "power_param", "scale", ""),
    ("Exp", "exp_param", "base", ""),
    ("Log", "log_param", "base", ""),
    ("ELU", "elu_param", "alpha", ""),
    ("ReLU", "relu_param", "negative_slope", ""),
    ("BatchNorm", "batch_norm_param", "eps", ""),
    ("BatchNorm", "batch_norm_param", "moving_average_fraction", ""),
    ("MVN", "mvn_param", "eps", ""),
    ("Threshold", "threshold_param", "threshold", ""),
    ("Clip", "clip_param", "min", "max: 1"),
    ("Clip", "clip_param", "max", "min: 0"),
    ("Embed", "embed_param", "input_dim", "num_output: 2"),
    ("Embed", "embed_param", "num_output", "input_dim: 2"),
    ("Reshape", "reshape_param", "axis", "shape { dim: -1 }"),
    ("Reshape", "reshape_param", "num_axes", "shape { dim: -1 }"),
    ("Slice", "slice_param", "slice_point", ""),
    ("Slice", "slice_param", "axis", ""),
    ("RNN", "recurrent_param", "num_output", ""),
)


def net(layer: str, shape: tuple[int, ...] = (2, 3, 8, 8), labels: int = 0) -> str:
    """A layer over an input x, and where it takes labels, an input t."""
    inputs = [("x", shape)] + ([("t", (labels,))] if labels else [])
    texts = [
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {d}" for d in dims)} }}'
        for name, dims in inputs
    ]
    return "\n".join([*texts, f'layer {{ name: "l" {layer} }}'])


def cases() -> Iterator[tuple[str, int, str]]:
    """(type and field, its value, the net's text)."""
    for kind in ("Convolution", "Deconvolution"):
        for field in ("num_output", "group", "kernel_size", "stride", "pad", "dilation"):
            for value in (0, -1, HUGE):
                given = {"num_output": 4, "kernel_size": 3, field: value}
                words = " ".join(f"{key}: {number}" for key, number in given.items())
                layer = f'type: "{kind}" {_BOTH} convolution_param {{ {words} }}'
                yield f"{kind}.{field}", value, net(layer)
    for field in ("kernel_size", "stride", "pad"):
        for value in (0, -1, HUGE):
            given = {"kernel_size": 2, field: value}
            words = " ".join(f"{key}: {number}" for key, number in given.items())
            layer = f'type: "Pooling" {_BOTH} pooling_param {{ {words} }}'
            yield f"Pooling.{field}", value, net(layer)
    for kind, message, field, more in _FIELDS:
        for value in (0, -1, -9, HUGE):
            layer = f'type: "{kind}" {_BOTH} {message} {{ {more} {field}: {value} }}'
            yield f"{kind}.{field}", value, net(layer)
    for value in (0, -1, HUGE):
        layer = f'type: "Reshape" {_BOTH} reshape_param {{ shape {{ dim: {value} }} }}'
        yield "Reshape.dim", value, net(layer)
        for field in ("top_k", "axis", "ignore_label"):
            layer = 'type: "Accuracy" bottom: "x" bottom: "t" top: "y" '
            layer += f"accuracy_param {{ {field}: {value} }}"
            yield f"Accuracy.{field}", value, net(layer, (2, 5), 2)
        layer = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "y" '
        layer += f"softmax_param {{ axis: {value} }}"
        yield "SoftmaxWithLoss.axis", value, net(layer, (2, 5), 2)
        for kind, words in (
            ("Input", f"input_param {{ shape {{ dim: {value} dim: 2 }} }}"),
            ("DummyData", f"dummy_data_param {{ shape {{ dim: {value} }} }}"),
        ):
            yield f"{kind}.dim", value, f'layer {{ name: "l" type: "{kind}" top: "x" {words} }}'
        for batch, height in ((value, 2), (1, value)):
            words = f"batch_size: {batch} channels: 1 height: {height} width: 2"
            layer = f'type: "MemoryData" top: "x" top: "t" memory_data_param {{ {words} }}'
            yield "MemoryData.batch_size or height", value, f'layer {{ name: "l" {layer} }}'


def main() -> None:
    import tinynet.torchcaffe as caffe

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        for name, value, text in cases():
            count += 1
            path.write_text(text)
            try:
                made = caffe.Net(str(path), caffe.TRAIN)
                made.forward()
                made.backward()
            except caffe.CaffeError as error:
                if "\n" in str(error):
                    print(f"{name} {value}: refused in several lines: {error!r}")
            except Exception as error:  # the failure that this script looks for
                print(f"{name} {value}: {type(error).__name__}: {str(error)[:200]!r}")
    print(f"{count} nets", file=sys.stderr)


if __name__ == "__main__":
    main()
