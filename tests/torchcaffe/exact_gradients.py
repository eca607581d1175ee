"""Rounding errors of real Caffe's and the torch engine's gradients, against float64.

A table for any solver whose net consists of a stage's layer types, from the repository root:

    python -m tests.torchcaffe.exact_gradients SOLVER.prototxt [WEIGHTS.caffemodel]
        [--seeds N | --after N]

Both engines run one forward and backward pass, the first or that after N updates.  The same pass is
then computed from the same weights, images and dropout masks in float64, by PyTorch's own
functions and its autograd, and without any code of the torch engine.

A gradient can be wrong for two reasons.  Sums are rounded, by about 1e-7.  And a net has kinks: if
the two largest values of a pooling window, or a ReLU's input and 0, are closer than rounding,
float32 may decide otherwise than float64, and the gradient takes another path.  To separate the
two, float64 also computes with an engine's own decisions, "same kinks".  Its gradients with the
decisions of the two engines differ by "kinks alone", which no order of summation could avoid.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, RealCaffe
from tinynet.caffeformat import schema, text
from tinynet.engine import discovery

Gradients = dict[str, np.ndarray]  # by LAYER/INDEX


def request(solver_path: Path, seed: int, weights: Path | None = None) -> dict[str, Any]:
    """Return the request to ``both_engines.answer`` for one pass of the solver's net in TRAIN."""
    solver = text.read(solver_path, schema.SolverParameter)
    net = Path(solver.net).read_text(encoding="utf-8")
    asked = {"net": net, "phase": schema.TRAIN, "seed": seed}
    return asked if weights is None else {**asked, "weights": str(weights)}


def request_after(updates: int, solver_path: Path, weights: Path | None = None) -> dict[str, Any]:
    """As ``request``, but the pass after ``updates``; the solver neither tests nor saves."""
    solver = text.read(solver_path, schema.SolverParameter)
    asked: dict[str, Any] = {"net": Path(solver.net).read_text(encoding="utf-8")}
    solver.display = solver.snapshot = 0
    solver.test_initialization = False
    if len(solver.test_iter):
        solver.test_interval = 2**31 - 1
    asked.update({"solver": text.format(solver), "steps": updates, "pass": True})
    return asked if weights is None else {**asked, "weights": str(weights)}


def gradients(answer: Answer) -> Gradients:
    """Return the parameters' diffs of an engine's answer."""
    head = "0/param_diff/"
    return {name[len(head) :]: values for name, values in answer.items() if name.startswith(head)}


@dataclass(frozen=True)
class Exact:
    """Gradients in float64, and how many given decisions float64 would have made otherwise."""

    gradients: Gradients
    otherwise: int


def compute(net_text: str, answer: Answer, kinks: Answer | None = None) -> Exact:
    """Return what ``gradients(answer)`` would be without rounding.

    ``answer`` is of one pass of the net in TRAIN; its weights, images and dropout masks are used.
    With ``kinks``, an engine's answer, max pooling and ReLU decide as they did there, otherwise as
    float64 does.
    """
    params = {
        name[len("0/param/") :]: torch.from_numpy(values).double().requires_grad_()
        for name, values in answer.items()
        if name.startswith("0/param/")
    }
    blobs = {
        name: torch.from_numpy(answer[f"0/data/{name}"]).double() for name in ("data", "label")
    }
    otherwise = 0
    for layer in text.parse(net_text, schema.NetParameter, "the net").layer:
        if layer.type == "Data" or any(rule.phase != schema.TRAIN for rule in layer.include):
            continue
        bottom = [blobs[name] for name in layer.bottom]
        # a layer in place leaves its results in the blob; only their zeros and signs are needed
        seen = torch.from_numpy((kinks or answer)[f"0/data/{layer.bottom[0]}"])
        if layer.type == "Dropout":
            top = bottom[0] * (seen != 0) / (1 - layer.dropout_param.dropout_ratio)
        elif layer.type == "ReLU":
            above = bottom[0] > 0 if kinks is None else seen > 0
            otherwise += int((above != (bottom[0] > 0))[seen != 0].sum())
            top = torch.where(above, bottom[0], layer.relu_param.negative_slope * bottom[0])
        elif layer.type == "Pooling":
            own = _winners(layer, bottom[0].detach())
            chosen = own if kinks is None else _winners(layer, seen)
            otherwise += int((chosen != own).sum())
            top = bottom[0].flatten(2).gather(2, chosen.flatten(2)).reshape(chosen.shape)
        else:
            weights = [
                params[key] for key in (f"{layer.name}/0", f"{layer.name}/1") if key in params
            ]
            top = _forward(layer, bottom, weights)
        blobs[layer.top[0]] = top
    blobs["loss"].backward()  # type: ignore[no-untyped-call]
    found = {name: param.grad.numpy() for name, param in params.items() if param.grad is not None}
    return Exact(found, otherwise)


def _winners(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Return where in its H×W plane each window's largest value lies; the first of equal ones."""
    size, stride = layer.pooling_param.kernel_size, layer.pooling_param.stride
    return functional.max_pool2d(x, size, stride, ceil_mode=True, return_indices=True)[1]


def _forward(layer: Any, bottom: list[torch.Tensor], weights: list[torch.Tensor]) -> torch.Tensor:
    if layer.type == "Convolution":
        return functional.conv2d(bottom[0], *weights)
    if layer.type == "InnerProduct":
        return functional.linear(bottom[0].flatten(1), *weights)
    assert layer.type == "SoftmaxWithLoss", f"{layer.type} is no layer of a stage"
    return functional.cross_entropy(bottom[0], bottom[1].long())


def distances(exact: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """‖found − exact‖ / ‖exact‖ (L2) of each gradient, and of ``all`` as one vector."""
    apart = {name: float(np.linalg.norm(found[name] - exact[name])) for name in exact}
    norms = {name: float(np.linalg.norm(exact[name])) for name in exact}
    whole = np.linalg.norm(list(apart.values())) / np.linalg.norm(list(norms.values()))
    return {**{name: apart[name] / norms[name] for name in exact}, "all": float(whole)}


def compare(asked: dict[str, Any], real: Answer, ours: Answer) -> dict[str, dict[str, float]]:
    """By column and row of the table: relative distances, and decisions other than float64's.

    After some updates each engine has its own weights, from which its float64 then starts.
    """
    columns = {}
    for name, answer in (("caffe", real), ("torch", ours)):
        own = compute(asked["net"], answer, kinks=answer)
        columns[name] = distances(compute(asked["net"], answer).gradients, gradients(answer))
        columns[f"{name}, same kinks"] = {
            **distances(own.gradients, gradients(answer)),
            "kinks": float(own.otherwise),
        }
    columns["torch from caffe"] = distances(gradients(real), gradients(ours))
    of_real, of_ours = (compute(asked["net"], real, kinks=answer) for answer in (real, ours))
    columns["kinks alone"] = distances(of_real.gradients, of_ours.gradients)
    return columns


def main() -> None:
    parser = argparse.ArgumentParser(description="Gradients against those of float64.")
    parser.add_argument("solver", type=Path)
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=1, help="median and largest over seeds 1 to N")
    parser.add_argument("--after", type=int, metavar="N", help="the pass after N updates")
    options = parser.parse_args()
    os.environ.update(GLOG_minloglevel="2")
    caffe = RealCaffe(discovery.find_caffe().python)
    tables = []
    for seed in range(1, options.seeds + 1):
        if options.after is None:
            asked = request(options.solver, seed, options.weights)
        else:
            asked = request_after(options.after, options.solver, options.weights)
        with tempfile.TemporaryDirectory() as folder:
            real = caffe.answer(asked, {}, Path(folder))
        ours = both_engines.answer(torchcaffe, asked, {})
        assert np.array_equal(real["0/data/data"], ours["0/data/data"])
        tables.append(compare(asked, real, ours))
    caffe.close()
    print(f"{'':10}" + "".join(f"{name:>22}" for name in tables[0]))
    for row in (*tables[0]["caffe"], "kinks"):
        cells = []
        for column in tables[0]:
            values = [table[column][row] for table in tables if row in table[column]]
            digits = ".0f" if row == "kinks" else ".1e"
            cells.append(
                f"{statistics.median(values):{digits}}, {max(values):{digits}}" if values else ""
            )
        print(f"{row:10}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
