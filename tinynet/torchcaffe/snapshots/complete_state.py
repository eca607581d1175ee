"""The state that Caffe's snapshots omit: ``PREFIX_iter_N.complete.json`` beside Caffe's two files.

Caffe's files hold the weights, the solver's history, the iteration and the step of the learning
rate.  To resume exactly, a run needs the rest as well:

* ``nets``       for each net, the state of each layer that has one (``Layer.state``): for a Data
                 layer the number of the record after the batch last *taken*, and the random state
                 of its transformer.  It includes the TEST nets, whose readers never rewind.  If a
                 test was interrupted, or the snapshot was requested during it, their states are
                 those before the test, since the resumed run repeats the whole test.
* ``random``     the main mt19937 stream (fillers, dropout); on a GPU torch's generator there; with
                 layers written in Python also numpy's, Python's and torch's generators.
* ``losses``     the losses that ``average_loss`` averages.
* ``made_with``  torch, threads, device and precision: with others the last bits differ.
* ``others``     if several solvers train together, ``random`` and the training net's state of
                 ranks 1, 2 …: each has its own records and its own random streams.
* ``files``      name, length and SHA-256 of the two files that it belongs to.

The file is JSON sealed with its own hash (``tinynet.files``): nothing in it is executed.
"""

from __future__ import annotations

import json
import random as python_random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from tinynet import files
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, check
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.random_numbers import mt19937
from tinynet.torchcaffe.snapshots import layer_states

SUFFIX = ".complete.json"
FORMAT = "tinynet complete state 1"
LARGEST = 64 << 20  # bytes; one of stage 7 has 25 KB


class Gathers(Protocol):
    """What gathers texts from all ranks on rank 0: an NCCL."""

    def gathered(self, text: str) -> list[str]: ...


class TrainedSolver(Protocol):
    """What a complete state needs of a solver."""

    together: Gathers | None

    @property
    def iter(self) -> int: ...

    @property
    def net(self) -> Net: ...

    @property
    def test_nets(self) -> Sequence[Net]: ...

    @property
    def loss_window(self) -> Sequence[torch.Tensor]: ...

    def test_net_states(self) -> list[dict[str, Any]]: ...

    def resume_losses(self, losses: list[float]) -> None: ...


def path_beside(state: Path) -> Path:
    """The path of the complete state of a ``.solverstate`` (or ``.solverstate.h5``)."""
    stem, found, _ = state.name.rpartition(".solverstate")
    check(bool(found), f"{state} is not a .solverstate file")
    return state.with_name(stem + SUFFIX)


def write(solver: TrainedSolver, state: Path, pair: dict[str, Path]) -> None:
    """Write the complete state beside ``state``, bound to the two files just written.

    ``pair`` gives the paths of "model" and "state".  Raises OSError.
    """
    path = path_beside(state)
    glog.info(f"Snapshotting complete state to {path}")
    content = {"format": FORMAT, **collect(solver)}
    content["files"] = {key: _described(file) for key, file in pair.items()}
    files.write_sealed_json(path, content)


def collect(solver: TrainedSolver) -> dict[str, Any]:
    """Return a solver's complete state between two iterations, without ``files``."""
    found = {
        "iteration": solver.iter,
        "made_with": _made_with(),
        "losses": [float(loss) for loss in solver.loss_window],
        "nets": [layer_states.of(solver.net), *solver.test_net_states()],
        "random": _random_states(solver),
    }
    if solver.together is not None:
        found["others"] = [json.loads(text) for text in solver.together.gathered("{}")[1:]]
    return found


def contribute(solver: TrainedSolver) -> None:
    """On a rank other than 0, send rank 0's ``write`` this rank's state."""
    assert solver.together is not None
    solver.together.gathered(json.dumps(of_training(solver)))


def of_training(solver: TrainedSolver) -> dict[str, Any]:
    """Return what an iteration changes besides the weights: the training net and ``random``."""
    return {"net": layer_states.of(solver.net), "random": _random_states(solver)}


def restore_training(solver: TrainedSolver, found: dict[str, Any], source: str) -> None:
    """Restore what ``of_training`` returned.  Raises CaffeError naming ``source``."""
    layer_states.restore(solver.net, found["net"], source)
    _set_random_states(found["random"])


def restore(solver: TrainedSolver, state: Path) -> None:
    """Resume exactly from the snapshot ``state``, from which the solver has been restored.

    Raises OSError if the complete state beside it cannot be opened; CaffeError or TinynetError if
    it is damaged, or belongs to another snapshot, net, data set, precision or number of solvers.
    Warns that the last bits may differ if torch, threads or device have changed.
    """
    path = path_beside(state)
    content = files.read_sealed_json(path, LARGEST)
    check(content.get("format") == FORMAT, f"{path}: its format is {content.get('format')!r}")
    check(
        content.get("iteration") == solver.iter,
        f"{path}: is of iteration {content.get('iteration')}, the snapshot of {solver.iter}",
    )
    try:
        _require_files(content["files"], state, path)
        _compare(content["made_with"], path)
        others = content.get("others", [])
        check(
            len(others) + 1 == CONTEXT.solver_count,
            f"{path}: was made by {len(others) + 1} solvers, and {CONTEXT.solver_count} train now; "
            "resume with as many",
        )
        nets = [solver.net, *solver.test_nets]
        check(
            len(content["nets"]) == len(nets),
            f"{path}: has the states of {len(content['nets'])} nets; the solver has {len(nets)}",
        )
        if CONTEXT.root_solver:
            for net, states in zip(nets, content["nets"]):
                layer_states.restore(net, states, str(path))
            solver.resume_losses([float(loss) for loss in content["losses"]])
            _set_random_states(content["random"])
        else:  # the other ranks do not test or display
            restore_training(solver, others[CONTEXT.solver_rank - 1], str(path))
    except CaffeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CaffeError(f"{path}: is not a complete state ({error!r})") from error
    glog.info(f"Restored complete state from {path}")


def _described(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": files.sha256_of(path)}


def _require_files(pair: dict[str, Any], state: Path, path: Path) -> None:
    for stated in pair.values():
        # a name in the file must not lead out of its folder
        file = state.with_name(Path(stated["name"]).name)
        check(
            file.is_file() and files.sha256_of(file) == stated["sha256"],
            f"{path}: belongs to another {file.name} than the one beside it",
        )


def _made_with() -> dict[str, Any]:
    device = torch.cuda.get_device_name(CONTEXT.device_id) if CONTEXT.gpu else "cpu"
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device,
        "precision": CONTEXT.precision,
    }


def _compare(before: dict[str, Any], path: Path) -> None:
    now = _made_with()
    check(
        before["precision"] == now["precision"],
        f"{path}: was made in {before['precision']} arithmetic, and this run is in "
        f"{now['precision']}",
    )
    changed = [
        f"{key} {before.get(key)} -> {now[key]}" for key in now if before.get(key) != now[key]
    ]
    if changed:
        glog.warning(f"resumed with {', '.join(changed)}: the last bits may differ")


def _has_python_layers(solver: TrainedSolver) -> bool:
    nets = (solver.net, *solver.test_nets)
    return any(layer.type == "Python" for net in nets for layer in net.graph.layers)


def _random_states(solver: TrainedSolver) -> dict[str, Any]:
    found: dict[str, Any] = {"main": mt19937.to_json(CONTEXT.stream.get_state())}
    if CONTEXT.gpu:
        found["cuda"] = bytes(torch.cuda.get_rng_state(CONTEXT.device_id).tolist()).hex()
    if _has_python_layers(solver):
        # the other generators that a user's layer may draw from
        kind, key, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
        state = mt19937.to_json((np.asarray(key, np.uint32), int(position)))
        found["numpy"] = {**state, "has_gauss": int(has_gauss), "gauss": float(gauss)}
        version, words, gauss_next = python_random.getstate()
        found["python"] = {"version": version, "words": list(words), "gauss_next": gauss_next}
        found["torch"] = bytes(torch.get_rng_state().tolist()).hex()
    return found


def _set_random_states(states: dict[str, Any]) -> None:
    CONTEXT.stream.set_state(*mt19937.from_json(states["main"]))
    if "cuda" in states and CONTEXT.gpu:
        torch.cuda.set_rng_state(_bytes_of(states["cuda"]), CONTEXT.device_id)
    if "numpy" in states:
        numpy = states["numpy"]
        key, position = mt19937.from_json(numpy)
        np.random.set_state(  # noqa: NPY002
            ("MT19937", key, position, int(numpy["has_gauss"]), float(numpy["gauss"]))
        )
    if "python" in states:
        python = states["python"]
        words = tuple(int(word) for word in python["words"])
        python_random.setstate((python["version"], words, python["gauss_next"]))
    if "torch" in states:
        torch.set_rng_state(_bytes_of(states["torch"]))


def _bytes_of(text: str) -> torch.Tensor:
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)
