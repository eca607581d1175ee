"""Messages of forks: a .proto's text is read, added whole or not at all, and Caffe's own known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinynet.caffeformat import message_classes, proto_text, schema, text, upgrade
from tinynet.errors import TinynetError

FORK = """
syntax = "proto2";  // as in a fork
package caffe;
/* a
   comment */
message LayerParameter {
  reserved 9000;
  optional FooParameter foo_param = 9001;
}
message FooParameter {
  enum Mode { SUM = 0; MEAN = 1 [deprecated = true]; }
  optional Mode mode = 1 [default = MEAN];
  repeated float weight = 2 [packed = true];
  optional string where = 3 [default = "here"];
  optional .caffe.FillerParameter filler = 4;
  required int32 least = 5;
  optional float scale = 6 [default = -1e-3];
}
"""
TABLE = """message LayerParameter
FooParameter foo_param=9001
message FooParameter
enum Mode SUM=0 MEAN=1
Mode mode=1|MEAN
packed float weight=2
string where=3|here
FillerParameter filler=4
required int32 least=5
float scale=6|-1e-3
"""


@pytest.fixture
def own_schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo a test's declarations afterwards."""
    tables = ("ENUMS", "FIELDS", "MESSAGES", "PHASES")
    before = {name: dict(getattr(message_classes, name)) for name in tables}
    monkeypatch.setattr(message_classes, "_tables", list(message_classes._tables))
    yield
    for name, content in before.items():
        current = getattr(message_classes, name)
        current.clear()
        current.update(content)


def test_a_proto_is_read_into_the_notation_of_the_table() -> None:
    assert proto_text.to_table(FORK) == TABLE


@pytest.mark.parametrize("declaration", [FORK, TABLE], ids=["proto", "table"])
def test_a_declared_message_is_read_and_written_like_caffes_own(
    declaration: str, own_schema: None
) -> None:
    source = 'layer { type: "Foo" foo_param { weight: 1 weight: 2.5 least: 3 mode: SUM } }'
    with pytest.raises(TinynetError, match="unknown field 'foo_param' in LayerParameter"):
        text.parse(source, schema.NetParameter, "net")
    old = schema.LayerParameter(name="old")
    schema.declare(declaration)
    schema.declare(declaration)
    net = text.parse(source, schema.NetParameter, "net")
    foo = net.layer[0].foo_param
    assert list(foo.weight) == [1, 2.5] and foo.mode == schema.FooParameter.SUM
    assert schema.FooParameter().mode == schema.FooParameter.MEAN
    assert (foo.where, foo.filler.type) == ("here", "constant")
    assert foo.scale == pytest.approx(-1e-3)
    assert text.parse(text.format(net), schema.NetParameter, "net") == net
    assert schema.NetParameter.FromString(net.SerializeToString()) == net
    assert b"\x12\x08\x00\x00\x80\x3f\x00\x00\x20\x40" in net.SerializeToString()  # packed
    with pytest.raises(TinynetError, match="FooParameter needs the field 'least'"):
        text.parse("layer { foo_param { } }", schema.NetParameter, "net")
    assert text.format(old) == 'name: "old"\n'  # a message of the class before the declaration


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("uint64", 0, 2**64 - 1),
        ("fixed32", 0, 2**32 - 1),
        ("sint32", -(2**31), 2**31 - 1),
        ("sfixed64", -(2**63), 2**63 - 1),
    ],
)
def test_a_declared_integer_of_any_kind_is_read_within_its_range(
    kind: str, least: int, most: int, own_schema: None
) -> None:
    schema.declare(f"message A {{ repeated {kind} a = 1; }}")
    read = text.parse(f"a: [{least}, {most}]", schema.MESSAGES["A"], "file")
    assert text.format(read) == f"a: {least}\na: {most}\n"
    for beyond in (least - 1, most + 1):
        with pytest.raises(TinynetError, match=rf"lies in {least} … {most} \({kind}\)"):
            text.parse(f"a: {beyond}", schema.MESSAGES["A"], "file")


def test_the_layers_of_a_file_may_have_the_fields_of_an_installed_package(
    tmp_path: Path, own_schema: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_classes.plugins, "load", lambda group: [("foo", FORK)])
    message_classes.load_installed.cache_clear()
    path = tmp_path / "net.prototxt"
    path.write_text('layer { name: "a" }\nlayer { name: "b" foo_param { least: 3 } }')
    found = text.layers(path)
    message_classes.load_installed.cache_clear()
    assert [(layer.name, line) for layer, line in found] == [("a", 1), ("b", 2)]
    assert found[1][0].foo_param.least == 3


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("message LayerParameter { optional int32 top = 4; }", "top, declared differently"),
        ("message LayerParameter { optional int32 new = 4; }", "string top = 4; int32 new = 4"),
        ("message LayerParameter { repeated string top = 9; }", "needs another name or number"),
        ("message A { optional B b = 1; }", "A: the type 'B' is not declared"),
        ("message A { message B { } }", "line 1 of the .proto text: expected optional, required"),
        ("message A {\n optional int32 a = x; }", "line 2 of the .proto text: the number of 'a'"),
        ("message A {\n optional int32 a = 1", "line 2 of the .proto text: the text ends within"),
        ("message A { optional int32 a = 1; ¶ }", "stray '¶'"),
        ("service A { }", "expected a message or an enum, found 'service'"),
        ('message A { optional string a = 1 [default = "a b"]; }', "contains a blank"),
        ("enum Phase { TRAIN = 3; }", "TRAIN of the enum Phase is already 0; got 3"),
        ("int32 a=1", "'int32 a=1' comes before the first message"),
        ("message A { optional int32 a = 99999999999; }", "protobuf refuses"),
    ],
)
def test_an_invalid_declaration_is_refused_and_adds_nothing(
    declaration: str, message: str, own_schema: None
) -> None:
    before = {name: dict(members) for name, members in schema.FIELDS.items()}
    classes = dict(schema.MESSAGES)
    with pytest.raises(TinynetError) as refused:
        schema.declare(declaration)
    assert message in str(refused.value)
    assert before == schema.FIELDS and classes == schema.MESSAGES


def test_an_enum_of_another_message_is_known_by_its_owner(own_schema: None) -> None:
    """As in SSD's caffe.proto; a package's name before it changes nothing."""
    schema.declare(
        "message Box { enum Code { CORNER = 1; CENTER = 2; } } message Output { "
        "optional Box.Code code = 6 [default = CENTER]; optional caffe.Box.Code other = 7; } "
        "message LayerParameter { optional Output output_param = 901; }"
    )
    net = text.parse("layer { output_param { other: CENTER } }", schema.NetParameter, "net")
    found = net.layer[0].output_param
    assert (found.code, found.other) == (2, 2)


def test_a_known_field_without_its_default_is_caffes_own(own_schema: None) -> None:
    schema.declare("message SolverParameter { optional float rms_decay = 38; }")
    assert schema.SolverParameter().rms_decay == pytest.approx(0.99)


def test_a_declared_v1_type_without_a_layer_type_is_refused(own_schema: None) -> None:
    schema.declare("message V1LayerParameter { enum LayerType { BN = 140; } }")
    net = text.parse('layers { name: "b" type: BN }', schema.NetParameter, "net")
    with pytest.raises(TinynetError, match="layer 'b': no layer type is known for the older type"):
        upgrade.upgrade(net, "net")


def test_a_declaration_can_add_values_to_an_enum_of_caffe(own_schema: None) -> None:
    schema.declare("message PoolingParameter { enum PoolMethod { SOFT = 7; } }")
    net = text.parse("layer { pooling_param { pool: SOFT } }", schema.NetParameter, "net")
    assert net.layer[0].pooling_param.pool == 7
    assert schema.PoolingParameter.MAX == 0


def test_caffes_own_proto_adds_nothing(own_schema: None, caffe_source: Path) -> None:
    """Our schema has exactly the fields of caffe.proto; needs Caffe's source."""
    proto = caffe_source / "src" / "caffe" / "proto" / "caffe.proto"
    before = {name: dict(members) for name, members in schema.FIELDS.items()}
    schema.declare(proto.read_text())
    assert before == schema.FIELDS


def test_reading_a_net_without_unknown_fields_does_not_search_the_installed_packages(
    tmp_path: Path,
) -> None:
    code = (
        "import sys\n"
        "from tinynet.caffeformat import schema, text\n"
        "text.parse('layer { type: \"ReLU\" }', schema.NetParameter, 'net')\n"
        "print('importlib.metadata' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
