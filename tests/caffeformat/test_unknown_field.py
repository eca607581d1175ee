"""The error for a fork's prototxt or the wrong kind of file names the layer and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.message import Message

from tinynet import manual
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.text import PrototxtError

_DECLARE = "can be declared: see 'tinynet manual layers-of-your-own'"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            'layer {\n name: "roi" type: "ROIPooling"\n roi_pooling_param { } }',
            "f:3: unknown field 'roi_pooling_param' in LayerParameter (layer 'roi', type "
            f"'ROIPooling'); Caffe has no such field, but a fork's field {_DECLARE}",
        ),
        (
            'layers { name: "n" bn_param { } }',
            "f:1: unknown field 'bn_param' in V1LayerParameter (layer 'n'); Caffe has no such "
            f"field, but a fork's field {_DECLARE}",
        ),
        (
            'layer { name: "p" type: "Pooling" pooling_param { ceil_mode: false } }',
            "f:1: unknown field 'ceil_mode' in PoolingParameter (layer 'p', type 'Pooling'); in "
            "Caffe it is round_mode: FLOOR for ceil_mode: false, and nothing for true",
        ),
        (
            'layer { name: "a" } layer { type: "Convolution" convolutoin_param { } }',
            "f:1: unknown field 'convolutoin_param' in LayerParameter (type 'Convolution'); did "
            "you mean 'convolution_param'?",
        ),
        (
            'layer { name: "d" type: "Data" data_param { batch_size: 1 shuffle: true } }',
            "f:1: unknown field 'shuffle' in DataParameter (layer 'd', type 'Data'); Caffe has no "
            "such field: take it out",
        ),
        ("hello: 1", "f:1: unknown field 'hello' in NetParameter"),
        (
            'name: "n" hello: 1',
            "f:1: unknown field 'hello' in NetParameter; Caffe has no such field: take it out",
        ),
        ('name: "n" // no comment', "f:1: stray '/'; comments begin with '#'"),
    ],
)
def test_a_field_of_a_fork_is_named_with_its_layer_and_what_to_do(
    source: str, message: str
) -> None:
    with pytest.raises(PrototxtError) as caught:
        text.parse(source, schema.NetParameter, "f")
    assert str(caught.value) == message


def test_the_page_that_the_messages_name_exists() -> None:
    assert "schema.declare" in manual.page("layers-of-your-own")


@pytest.mark.parametrize(
    ("source", "kind", "advice"),
    [
        ("base_lr: 0.1", schema.NetParameter, "this is a solver's file; give the net that it"),
        ("layer { }", schema.SolverParameter, "this is a net; give the file of its solver"),
    ],
)
def test_the_wrong_kind_of_file_is_recognized(
    source: str, kind: type[Message], advice: str
) -> None:
    with pytest.raises(PrototxtError, match=advice):
        text.parse(source, kind, "f")


def test_a_layer_type_that_the_older_format_lacks_is_refused_with_advice_to_use_the_newer_one() -> (
    None
):
    with pytest.raises(PrototxtError) as caught:
        text.parse('layers { name: "c"\n type: CONVOLUTION3D }', schema.NetParameter, "f")
    refusal = str(caught.value)
    assert refusal.startswith(
        "f:2: 'type' of V1LayerParameter (layer 'c') is one of NONE, ABSVAL, "
    )
    assert refusal.endswith(
        "not 'CONVOLUTION3D'; other types need the newer format, layer { type: \"NAME\" }"
    )


def test_layers_are_listed_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(b'\xef\xbb\xbfname: "n"\r\nlayer { name: "a" }\r\nlayer\r\n{ name: "b" }')
    assert [(one.name, line) for one, line in text.layers(path)] == [("a", 2), ("b", 4)]
    path.write_text('layers { layer { name: "old" type: "relu" } }\nlayers { name: "new" }')
    assert [(one.name, line) for one, line in text.layers(path)] == [
        ("", 1),
        ("old", 1),
        ("new", 2),
    ]
