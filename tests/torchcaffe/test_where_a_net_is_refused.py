"""A refused net names its file, the line of the layer, and the layer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinynet import torchcaffe as caffe

_X = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
_MISSING = (
    'type: "Data" top: "d" top: "l" data_param { source: "nowhere" batch_size: 2 backend: LMDB } '
)
_FC = 'type: "InnerProduct" bottom: "x" top: "y" inner_product_param { axis: 5 num_output: 1 }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'{_X}\nlayer {{ name: "roi"\n type: "ROIPooling" bottom: "x" top: "y" }}',
            "2: unknown layer type 'ROIPooling' (layer roi); a layer of a fork can be added: see "
            "'tinynet manual layers-of-your-own'",
        ),
        (
            # of two layers with the same name, the one that runs
            f'layer {{ name: "data" {_MISSING} include {{ phase: TRAIN }} }}\n'
            f'layer {{ name: "data" {_MISSING} include {{ phase: TEST }} }}',
            "2: Data layer data: nowhere: no such LMDB folder",
        ),
        (
            f'{_X}\n\nlayer {{ name: "r" type: "ReLU" bottom: "gone" top: "r" }}',
            "3: layer r: unknown bottom blob 'gone': in phase TEST no layer before it makes it",
        ),
        (
            f'{_X}\nlayer {{ name: "r" type: "ReLU" bottom: "x" top: "y" }}\n'
            'layer { name: "s" type: "ReLU" bottom: "x" top: "y" }',
            "3: ReLU layer s: top blob 'y' is produced by multiple sources",
        ),
        (
            # in the oldest format, which nests layers in others
            'input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1\n'
            'layers { layer { name: "c" type: "conv" num_output: 0 } bottom: "x" top: "y" }',
            "2: Convolution layer c: ",
        ),
        (f'{_X}\nlayer {{ name: "fc" {_FC} }}', "2: InnerProduct layer fc: axis 5 is outside"),
    ],
)
def test_a_refused_net_names_file_line_and_layer(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    with pytest.raises(caffe.CaffeError) as caught:
        caffe.Net(path, caffe.TEST)
    assert str(caught.value).startswith(f"{path}:{message}")
    assert "\n" not in str(caught.value)


def test_a_solver_names_the_file_of_the_net_that_is_refused(tmp_path: Path) -> None:
    net, solver = tmp_path / "net.prototxt", tmp_path / "solver.prototxt"
    net.write_text(f'{_X}\nlayer {{ name: "z" type: "Zeros" bottom: "x" top: "z" }}')
    solver.write_text(f'net: "{net}" base_lr: 1 lr_policy: "fixed"')
    with pytest.raises(caffe.CaffeError, match=rf"^{re.escape(str(net))}:2: unknown layer type"):
        caffe.get_solver(str(solver))
    solver.write_text(
        f'net_param {{ {_X} layer {{ name: "s" type: "ReLU" bottom: "x" top: "x" '
        'top: "y" } } base_lr: 1 lr_policy: "fixed"'
    )
    with pytest.raises(caffe.CaffeError, match="^ReLU layer s: takes exactly 1 top"):
        caffe.get_solver(str(solver))


def test_a_solver_whose_net_file_is_missing_says_where_paths_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("solver.prototxt").write_text('net: "models/net.prototxt" base_lr: 1 lr_policy: "fixed"')
    with pytest.raises(caffe.CaffeError) as caught:
        caffe.get_solver("solver.prototxt")
    assert str(caught.value) == (
        "could not open file models/net.prototxt: No such file or directory; it is the solver's "
        f"net, and paths in a solver start where the command runs, which is {tmp_path}"
    )
