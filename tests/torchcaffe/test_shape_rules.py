"""What the shape rules say of a net, without building it, is what the engine builds."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.layer_cases import LAYERS
from tinynet.caffeformat import schema, shapes, text


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_of_tops_and_parameters_are_those_of_the_net_that_is_built(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    case = LAYERS[name]
    path = tmp_path / "net.prototxt"
    path.write_text(case.text)
    net = caffe.Net(path, case.phase)
    inferred = shapes.infer(text.read(path, schema.NetParameter), case.phase)
    built = {top: net.blobs[top].shape for top in inferred.blobs}
    assert inferred.blobs == built
    parameters = {layer: [blob.shape for blob in blobs] for layer, blobs in net.params.items()}
    assert {x.name: list(x.parameters) for x in inferred.layers if x.parameters} == parameters
