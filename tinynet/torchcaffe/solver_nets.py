"""The nets of a solver: which ones its SolverParameter names, and the state each is built in.

Defined by ``Solver::InitTrainNet`` and ``InitTestNets`` (src/caffe/solver.cpp).
"""

from __future__ import annotations

from pathlib import Path

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog, net_files
from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.vectors import Vector


class NetVec(Vector[Net]):
    """The test nets of a solver."""

    holds = (Net,)


_TRAIN_NET_FIELDS = ("net", "net_param", "train_net", "train_net_param")


def train_net(param: schema.SolverParameter) -> Net:
    """Build the net that a SolverParameter trains, from the one field that names it."""
    given = [field for field in _TRAIN_NET_FIELDS if schema.is_set(param, field)]
    check(
        len(given) == 1,
        f"the solver must name its train net by exactly one of "
        f"{', '.join(_TRAIN_NET_FIELDS)}; got {', '.join(given) or 'none'}",
    )
    (field,) = given
    value = getattr(param, field)
    source = f"from {field} file: {value}" if isinstance(value, str) else f"specified in {field}."
    glog.info(f"Creating training net {source}")
    return _make_net(param, _net_param(field, value), schema.TRAIN, param.train_state, _file(value))


def test_nets(param: schema.SolverParameter) -> NetVec:
    """Build the nets that a SolverParameter tests, in order: one for each ``test_iter``."""
    sources: list[tuple[str, str | schema.NetParameter]]
    sources = [("test_net_param", value) for value in param.test_net_param]
    sources += [("test_net", value) for value in param.test_net]
    generic = [field for field in ("net", "net_param") if schema.is_set(param, field)]
    count = len(param.test_iter)
    if generic:
        check(
            count >= len(sources),
            f"test_iter must be given for each test net; got {count} for {len(sources)}",
        )
        sources += [(generic[0], getattr(param, generic[0]))] * (count - len(sources))
    else:
        check(
            count == len(sources),
            f"test_iter must be given once per test net; got {count} for {len(sources)}",
        )
    states = list(param.test_state)
    check(
        len(states) in (0, len(sources)),
        f"test_state must be given 0 times or once per test net; got {len(states)} for "
        f"{len(sources)}",
    )
    check(
        not sources or param.test_interval > 0,
        f"test_interval must be positive where there are test nets; got {param.test_interval}",
    )
    nets: list[Net] = []
    for i, (field, value) in enumerate(sources):
        source = f"{field} file: {value}" if isinstance(value, str) else field
        glog.info(f"Creating test net (#{i}) specified by {source}")
        state = states[i] if states else schema.NetState()
        net_param = _net_param(field, value)
        nets.append(_make_net(param, net_param, schema.TEST, state, _file(value)))
    return NetVec(nets, fixed=True)


def _net_param(field: str, value: str | schema.NetParameter) -> schema.NetParameter:
    """The net in a field, upgraded to the current format; real Caffe upgrades only files."""
    if not isinstance(value, str):
        net_param = schema.NetParameter()
        net_param.CopyFrom(value)
        return net_files.upgraded(net_param, field)
    check(
        Path(value).exists(),
        f"could not open file {value}: No such file or directory; it is the solver's {field}, and "
        f"paths in a solver start where the command runs, which is {Path.cwd()}",
    )
    return net_files.read_prototxt(value)


def _file(value: str | schema.NetParameter) -> str | None:
    return value if isinstance(value, str) else None


def _make_net(
    param: schema.SolverParameter,
    net_param: schema.NetParameter,
    phase: schema.Phase,
    state: schema.NetState,
    file: str | None,
) -> Net:
    """Build a net; its state merges ``phase``, the net's own state and ``state``, in this order."""
    merged = schema.NetState(phase=phase)
    merged.MergeFrom(net_param.state)
    merged.MergeFrom(state)
    net_param.state.CopyFrom(merged)
    with net_files.locate_errors(file):
        net = Net.from_param(net_param)
    for names in param.weights:
        for name in names.split(","):
            glog.info(f"Finetuning from {name.strip()}")
            net.copy_from(name.strip())
    return net
