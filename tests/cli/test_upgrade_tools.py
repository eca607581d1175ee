"""Caffe's three upgrade tools: its messages, its exit statuses, files with the same meaning."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.children import python
from tests.conftest import run_python
from tests.torchcaffe import old_nets
from tinynet.caffeformat import binary, schema, text, upgrade

IN_CAFFE = Path(__file__).parent.parent / "caffeformat" / "in_caffe.py"
TODAYS = 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
PARTLY = 'input: "x" layers { layer { name: "c" type: "relu" num_output: 3 } bottom: "x" top: "y" }'


def run(folder: Path, tool: str, *files: str, level: int = 0) -> tuple[int, list[str]]:
    """Exit status, and the messages on stderr without the log's times and process ids."""
    command = ("-m", "tinynet", "caffe", tool, *files)
    child = python(*command, folder=folder, GLOG_minloglevel=str(level))
    assert child.stdout == ""
    pattern = r"^([IWE])\d{4} [\d:.]+ +\d+ (\w+)\.py:\d+\] "
    return child.returncode, [re.sub(pattern, r"\1 \2: ", s) for s in child.stderr.splitlines()]


def test_a_net_of_2013_is_upgraded_and_then_needs_no_upgrade(
    tmp_path: Path, caffe_python: str
) -> None:
    (tmp_path / "old.prototxt").write_text(old_nets.V0)
    status, logged = run(tmp_path, "upgrade_net_proto_text", "old.prototxt", "new.prototxt")
    assert status == 0
    attempt = "I upgrade: Attempting to upgrade input file specified using deprecated"
    done = "I upgrade: Successfully upgraded file specified using deprecated"
    assert logged == [
        f"{attempt} V0LayerParameter: old.prototxt",
        f"{done} V0LayerParameter",
        f"{attempt} V1LayerParameter: old.prototxt",
        f"{done} V1LayerParameter",
        f"{attempt} input fields: old.prototxt",
        f"{done} input fields.",
        "I upgrade_tools: Wrote upgraded NetParameter text proto to new.prototxt",
    ]
    status, logged = run(tmp_path, "upgrade_net_proto_text", "new.prototxt", "newer.prototxt")
    assert status == 0
    assert logged == [
        "E upgrade_tools: File already in latest proto format: new.prototxt",
        "I upgrade_tools: Wrote upgraded NetParameter text proto to newer.prototxt",
    ]
    assert (tmp_path / "newer.prototxt").read_text() == (tmp_path / "new.prototxt").read_text()

    # real Caffe reads the written text as the message that was meant
    written, meant = (tmp_path / "new.prototxt").read_text(), schema.NetParameter()
    meant = upgrade.read_net(tmp_path / "old.prototxt")
    (tmp_path / "in.json").write_text(json.dumps([("NetParameter", written, written)]))
    run_python(caffe_python, IN_CAFFE, "texts", tmp_path / "in.json", tmp_path / "out.json")
    [answer] = json.loads((tmp_path / "out.json").read_text())
    assert answer["wire"] == meant.SerializeToString(deterministic=True).hex()


def test_weights_of_every_format_version_keep_their_blobs(tmp_path: Path) -> None:
    model = text.parse(old_nets.V0, schema.NetParameter, "v0")
    blob = model.layers[1].layer.blobs.add(num=1, channels=1, height=2, width=2)
    blob.data.extend([1, 2, 3, 4.5])
    binary.write(tmp_path / "old.caffemodel", model)
    status, logged = run(tmp_path, "upgrade_net_proto_binary", "old.caffemodel", "new.caffemodel")
    assert status == 0
    assert logged[-1] == (
        "I upgrade_tools: Wrote upgraded NetParameter binary proto to new.caffemodel"
    )
    new = binary.read(tmp_path / "new.caffemodel", schema.NetParameter)
    assert not new.layers
    held = {layer.name: layer for layer in new.layer if layer.blobs}
    assert list(held) == ["conv1"] and held["conv1"].type == "Convolution"
    assert held["conv1"].blobs[0] == blob


def test_a_numeric_solver_type_is_upgraded_to_its_name(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("base_lr: 0.1 solver_type: RMSPROP")
    tool = "upgrade_solver_proto_text"
    status, logged = run(tmp_path, tool, "old", "new")
    assert status == 0
    assert logged == [
        "I upgrade: Attempting to upgrade input file specified using deprecated "
        "'solver_type' field (enum)': old",
        "I upgrade: Successfully upgraded file specified using deprecated 'solver_type' "
        "field (enum) to 'type' field (string).",
        "I upgrade_tools: Wrote upgraded SolverParameter text proto to new",
    ]
    assert (tmp_path / "new").read_text() == 'type: "RMSProp"\nbase_lr: 0.1\n'
    status, logged = run(tmp_path, tool, "new", "newer")
    assert status == 0
    assert logged[0] == "E upgrade_tools: File already in latest proto format: new"


def test_a_field_that_cannot_be_upgraded_is_named_with_status_1_and_the_rest_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "old").write_text(PARTLY)
    status, logged = run(tmp_path, "upgrade_net_proto_text", "old", "new", level=2)
    assert status == 1
    assert logged == [
        "E upgrade_v0: Unknown parameter num_output for layer type relu",
        "E upgrade: Warning: had one or more problems upgrading V0NetParameter to "
        "NetParameter (see above); continuing anyway.",
        "E upgrade_tools: Encountered error(s) while upgrading prototxt; see details above.",
    ]
    assert text.read(tmp_path / "new", schema.NetParameter).layer[0].type == "ReLU"


@pytest.mark.parametrize(
    ("tool", "files", "status", "logged"),
    [
        ("upgrade_net_proto_text", [], 1, "Usage: upgrade_net_proto_text IN OUT; got 0 files"),
        ("upgrade_net_proto_text", ["a", "b", "c"], 1, "IN OUT; got 3 files"),
        ("upgrade_net_proto_text", ["none", "new"], 1, "none: No such file"),
        ("upgrade_net_proto_text", ["bad", "new"], 2, "bad:1: unknown field 'lyers'"),
        ("upgrade_net_proto_binary", ["bad", "new"], 2, "bad: no NetParameter"),
        ("upgrade_solver_proto_text", ["both", "new"], 1, "both: give the solver's type by type"),
        ("upgrade_net_proto_text", ["mixed", "new"], 1, "net 'm' has layers of both formats"),
        ("upgrade_net_proto_text", ["good", "no/new"], 1, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_upgraded_is_refused_with_the_reason_and_nothing_is_written(
    tool: str, files: list[str], status: int, logged: str, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_text("lyers { }")
    (tmp_path / "both").write_text('type: "Adam" solver_type: ADAM')
    (tmp_path / "mixed").write_text(f'name: "m" {TODAYS} layers {{ type: RELU }}')
    (tmp_path / "good").write_text(TODAYS)
    found, lines = run(tmp_path, tool, *files)
    assert found == status
    assert logged in lines[-1]
    assert not (tmp_path / "new").exists()


def test_each_tool_has_its_own_help() -> None:
    for tool in ("upgrade_net_proto_text", "upgrade_net_proto_binary", "upgrade_solver_proto_text"):
        child = python("-m", "tinynet", "caffe", tool, "--help")
        assert child.returncode == 0
        assert f"Usage: tinynet caffe {tool} [OPTIONS] IN OUT" in child.stdout
        assert f"Example:\n    tinynet caffe {tool} " in child.stdout
