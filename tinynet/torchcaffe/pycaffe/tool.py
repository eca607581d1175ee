"""The actions of Caffe's command line (tools/caffe.cpp): train, test, time, device_query.

Each function takes the flags under Caffe's names, logs what Caffe logs, and returns an exit status:
0 done, 75 stopped by a signal.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from tinynet.caffeformat import schema
from tinynet.errors import UsageError
from tinynet.torchcaffe import context, glog, solver_param
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.net import TEST, TRAIN, Net
from tinynet.torchcaffe.pycaffe import extract_features
from tinynet.torchcaffe.pycaffe.ranks import STOPPED, Ranks, effective_batch
from tinynet.torchcaffe.pycaffe.timer import Timer
from tinynet.torchcaffe.scoring import scored
from tinynet.torchcaffe.signals import SignalActions, action_of
from tinynet.torchcaffe.solver import create_solver

DEFAULTS: dict[str, Any] = {
    "solver": "",
    "model": "",
    "weights": "",
    "snapshot": "",
    "gpu": "",
    "iterations": 50,
    "solvers": 1,
    "phase": "",
    "level": 0,
    "stage": "",
    "sigint_effect": "stop",
    "sighup_effect": "snapshot",
    "minloglevel": 0,
    "log_dir": "",
}


def run(action: str, flags: dict[str, Any]) -> int:
    """Run ``action`` with ``flags``; flags that are left out have Caffe's defaults.

    Raises UsageError for flags that are missing or contradict each other, CaffeError if Caffe
    aborts.
    """
    given = {**DEFAULTS, **flags}
    glog.set_level(given["minloglevel"])
    folder = given["log_dir"] or None
    if folder and not os.access(folder, os.W_OK | os.X_OK):
        # as with glog, the work is done all the same
        glog.error(f"-log_dir {folder}: not a writable folder; there will be no log file")
        folder = None
    glog.write_files(folder)
    try:
        return ACTIONS[action](given)
    finally:
        glog.write_files(None)


def _info(message: str) -> None:
    glog.info(message, stacklevel=2)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


def _stages(flags: dict[str, Any]) -> list[str]:
    """The stages of ``-stage``; without the flag one stage named "", as in Caffe."""
    return flags["stage"].split(",")


def _iterations(flags: dict[str, Any]) -> int:
    """``-iterations``, at least 1; for 0 Caffe reports nan as the mean, and success."""
    _require(flags["iterations"] > 0, f"-iterations must be 1 or more; got {flags['iterations']}")
    return flags["iterations"]


def _gpus(flags: dict[str, Any]) -> list[int]:
    """The device numbers of ``-gpu``; for ``all``, those of all GPUs."""
    if flags["gpu"] == "all":
        count = torch.cuda.device_count()
        if not count:
            raise CaffeError("-gpu all: PyTorch finds no GPU here; leave -gpu out to use the CPU")
        return list(range(count))
    try:
        return [int(number) for number in flags["gpu"].split(",") if flags["gpu"]]
    except ValueError:
        raise UsageError(
            f"-gpu takes device numbers separated by ',', or all; got {flags['gpu']}"
        ) from None


def _choose_device(gpus: list[int]) -> None:
    if not gpus:
        _info("Use CPU.")
        context.set_mode_cpu()
        return
    context.set_device(gpus[0])
    context.set_mode_gpu()
    _info(f"Use GPU with device ID {gpus[0]}")
    _info(f"GPU device name: {torch.cuda.get_device_name(gpus[0])}")


def train(flags: dict[str, Any]) -> int:
    """Train what ``-solver`` describes, from scratch, ``-weights`` or a ``-snapshot``."""
    _require(bool(flags["solver"]), "need a solver definition to train: -solver FILE")
    _require(
        not (flags["snapshot"] and flags["weights"]),
        "give a snapshot to resume training or weights to finetune, but not both",
    )
    effects = action_of(flags["sigint_effect"]), action_of(flags["sighup_effect"])
    param = solver_param.read(flags["solver"])
    param.train_state.level = flags["level"]
    param.train_state.stage.extend(_stages(flags))
    # a solver asks for a GPU only by an explicit solver_mode, whose default is GPU
    asks = param.HasField("solver_mode") and param.solver_mode == schema.SolverParameter.GPU
    if asks and not flags["gpu"]:
        flags["gpu"] = str(param.device_id)
    gpus = _gpus(flags)
    _require(len(set(gpus)) == len(gpus), f"-gpu {flags['gpu']}: each solver needs its own GPU")
    _require(flags["solvers"] >= 1, f"-solvers must be 1 or more; got {flags['solvers']}")
    _require(
        not gpus or flags["solvers"] in (1, len(gpus)),
        f"-solvers {flags['solvers']} and -gpu {flags['gpu']}: there is one solver for each GPU; "
        "leave -solvers out",
    )
    if flags["snapshot"] or flags["weights"]:
        param.ClearField("weights")
    if flags["weights"]:
        param.weights.append(flags["weights"])

    with SignalActions(*effects) as actions, Ranks(len(gpus) or flags["solvers"]) as ranks:
        device = ranks.device(gpus)
        _choose_device([] if device is None else [device])
        solver = create_solver(param)
        solver.set_action_function(lambda: ranks.agreed(actions.next_action()))
        if flags["snapshot"]:
            _info(f"Resuming from {flags['snapshot']}")
            solver.restore(flags["snapshot"])
        if ranks.process.solvers > 1:
            ranks.join(solver)
            batch = effective_batch(solver.net, param.iter_size, ranks.process.solvers)
            _info(f"Effective batch: {batch}")
        _info("Starting Optimization")
        if ranks.process.rank == 0:
            solver.solve()
        else:
            solver.step(param.max_iter - solver.iter)
        _info("Optimization Done.")
    return STOPPED if solver.stopped else 0


def test(flags: dict[str, Any]) -> int:
    """Score ``-weights``, one file, on ``-iterations`` batches of ``-model``."""
    _require(bool(flags["model"]), "need a model definition to score: -model FILE")
    _require(bool(flags["weights"]), "need model weights to score: -weights FILE")
    iterations = _iterations(flags)
    _choose_device(_gpus(flags)[:1])
    if "," in flags["weights"] and not os.path.exists(flags["weights"]):
        # Caffe cannot open it either: only train splits the list of names
        raise CaffeError(
            f"could not open file {flags['weights']}: test takes one file as -weights; only train "
            "takes a list"
        )
    net = Net(flags["model"], TEST, flags["level"], _stages(flags))
    net.copy_from(flags["weights"])
    _info(f"Running for {iterations} iterations.")
    loss = np.float32(0)  # summed in float32 as in Caffe: the last printed digit may depend on it
    sums: list[np.float32] = []
    for batch in range(iterations):
        loss += np.float32(net.run_forward().item())
        scores = [
            (name, value)
            for name, blob, _ in net.output_blobs
            for value in blob.tensor.reshape(-1).tolist()
        ]
        for name, value in scores:
            _info(f"Batch {batch}, {name} = {glog.number(value)}")
        sums = [
            s + np.float32(v) for s, (_, v) in zip(sums or [np.float32(0)] * len(scores), scores)
        ]
    _info(f"Loss: {glog.number(float(loss / iterations))}")
    names = [(name, weight) for name, blob, weight in net.output_blobs for _ in range(blob.count)]
    for (name, weight), total in zip(names, sums):
        _info(scored(name, float(total / iterations), weight))
    return 0


@torch.no_grad()
def time(flags: dict[str, Any]) -> int:
    """Time forward and backward of ``-model``, layer by layer, over ``-iterations`` passes."""
    _require(bool(flags["model"]), "need a model definition to time: -model FILE")
    phases = {"": TRAIN, "TRAIN": TRAIN, "TEST": TEST}
    _require(flags["phase"] in phases, f'-phase must be "TRAIN" or "TEST"; got {flags["phase"]}')
    iterations = _iterations(flags)
    _choose_device(_gpus(flags)[:1])
    net = Net(flags["model"], phases[flags["phase"]], flags["level"], _stages(flags))
    _info("Performing Forward")
    _info(f"Initial loss: {glog.number(float(net.run_forward()))}")
    _info("Performing Backward")
    net.run_backward()

    graph = net.graph
    forward = [0.0] * len(graph.layers)
    backward = [0.0] * len(graph.layers)
    _info("*** Benchmark begins ***")
    _info(f"Testing for {iterations} iterations.")
    total, timer, whole = Timer(), Timer(), Timer()
    total.start()
    for iteration in range(1, iterations + 1):
        whole.start()
        for i, layer in enumerate(graph.layers):
            timer.start()
            layer.reshape(graph.bottoms[i], graph.tops[i])
            layer.forward(graph.bottoms[i], graph.tops[i])
            forward[i] += timer.ms
        for i in reversed(range(len(graph.layers))):
            timer.start()
            graph.layers[i].backward(graph.tops[i], graph.bottom_need_backward[i], graph.bottoms[i])
            backward[i] += timer.ms
        _info(f"Iteration: {iteration} forward-backward time: {glog.number(whole.ms)} ms.")
    _info("Average time per layer: ")
    for layer, there, back in zip(graph.layers, forward, backward):
        _info(f"{layer.name:>10}\tforward: {glog.number(there / iterations)} ms.")
        _info(f"{layer.name:>10}\tbackward: {glog.number(back / iterations)} ms.")
    _info(f"Average Forward pass: {glog.number(sum(forward) / iterations)} ms.")
    _info(f"Average Backward pass: {glog.number(sum(backward) / iterations)} ms.")
    _info(f"Average Forward-Backward: {glog.number(total.ms / iterations)} ms.")
    _info(f"Total Time: {glog.number(total.ms)} ms.")
    _info("*** Benchmark ends ***")
    return 0


def device_query(flags: dict[str, Any]) -> int:
    """Log what PyTorch knows about the devices of ``-gpu``."""
    _info(f"Querying GPUs {flags['gpu']}")
    for number in _gpus(flags):
        context.set_device(number)
        device = torch.cuda.get_device_properties(number)
        for label, value in (
            ("Device id:", number),
            ("Major revision number:", device.major),
            ("Minor revision number:", device.minor),
            ("Name:", device.name),
            ("Total global memory:", device.total_memory),
            ("Warp size:", getattr(device, "warp_size", "unknown")),
            ("Number of multiprocessors:", device.multi_processor_count),
        ):
            glog.info(f"{label:<31}{value}")
    return 0


ACTIONS = {
    "train": train,
    "test": test,
    "time": time,
    "device_query": device_query,
    "extract_features": extract_features.run,
}
