"""Old files, of our own wording, and what Caffe's upgrade tools make of them.

``CASES``: by name, the tool and the file.  GOLDEN holds, for each, the exit status, what was said
(without the log's times and places) and what was written, as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.torchcaffe import old_nets
from tests.torchcaffe.snapshots.test_weights import old_model
from tests.torchcaffe.test_old_nets_against_caffe import REFUSED, SMALL
from tinynet.caffeformat import binary, schema, text

GOLDEN = Path(__file__).parent / "golden" / "upgrades.json"
IN, OUT = "in.proto", "out.proto"


class Case(NamedTuple):
    tool: str
    content: bytes


def _v0_model() -> Any:
    model = text.parse(old_nets.V0, schema.NetParameter, "v0")
    for layer in model.layers:
        if layer.layer.type in ("conv", "innerproduct"):
            blob = layer.layer.blobs.add(num=1, channels=1, height=2, width=2)
            blob.data.extend([1, 2, 3, 4.5])
    return model


def _solvers() -> dict[str, str]:
    rest = 'net: "n" test_iter: 3 test_interval: 10 base_lr: 0.01 lr_policy: "step" stepsize: 5'
    kinds = ("SGD", "NESTEROV", "ADAGRAD", "RMSPROP", "ADADELTA", "ADAM")
    solvers = {f"solver {kind}": f"solver_type: {kind} {rest}" for kind in kinds}
    solvers["solver by number"] = f"{rest} solver_type: 2"
    solvers["solver of today"] = f'type: "Adam" {rest}'
    solvers["solver without a type"] = rest
    solvers["solver of both"] = f'type: "Adam" solver_type: ADAM {rest}'
    return solvers


def _cases() -> dict[str, Case]:
    net, solver = "upgrade_net_proto_text", "upgrade_solver_proto_text"
    texts = {**SMALL, **{name: content for name, (content, _) in REFUSED.items()}}
    for seed in range(3):
        texts[f"random v0 {seed}"] = text.format(old_nets.random_v0(seed))
        texts[f"random v1 {seed}"] = text.format(old_nets.random_v1(seed))
    cases = {name: Case(net, content.encode()) for name, content in texts.items()}
    cases.update((name, Case(solver, s.encode())) for name, s in _solvers().items())
    for name, model in {
        "weights of v1": old_model(),
        "weights in doubles": old_model("double_data"),
        "weights of v0": _v0_model(),
        "weights of today": text.parse('layer { name: "a" type: "ReLU" }', schema.NetParameter, ""),
    }.items():
        cases[name] = Case("upgrade_net_proto_binary", model.SerializeToString())
    return cases


CASES = _cases()
_LINE = re.compile(r"^([IWEF])(?:\d{4})?\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] ")
# of an aborted program: its stack
_STACK = re.compile(r"^(\*\*\*|    @)")


def outcome(run: Callable[[str], tuple[int, str]], case: Case, folder: Path) -> dict[str, Any]:
    """What a tool does with the case's file in ``folder``.

    ``run`` runs a program of this name on IN and OUT there: exit status, and stderr.
    """
    (folder / IN).write_bytes(case.content)
    (folder / OUT).unlink(missing_ok=True)
    status, log = run(case.tool)
    said = [_LINE.sub(r"\1 ", line) for line in log.splitlines() if not _STACK.match(line)]
    return {"status": status, "said": said, "written": _written(case, folder / OUT)}


def _written(case: Case, path: Path) -> str | None:
    if not path.exists():
        return None
    if case.tool == "upgrade_net_proto_binary":
        return text.format(binary.read(path, schema.NetParameter))
    kind = schema.SolverParameter if "solver" in case.tool else schema.NetParameter
    return text.format(text.read(path, kind))
