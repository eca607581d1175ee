"""HDF5 snapshots pass from one engine to the other and back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.test_solver_files_against_caffe import HALF, assert_close, run, weights
from tests.torchcaffe.test_solvers_against_caffe import NET, OTHERS, solver
from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe, in_torchcaffe
from tinynet.torchcaffe.errors import CaffeError

OPTIONS = OTHERS["Adam"] + " snapshot_format: HDF5 snapshot_diff: true"


def test_a_run_resumes_in_the_other_engine(real_caffe: RealCaffe, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    whole = run("real", real_caffe, tmp_path, OPTIONS, {"steps": 2 * HALF})
    for engine in ("real", "ours"):
        run(engine, real_caffe, tmp_path, OPTIONS, {"steps": HALF, "snapshot": True})
    for kind in ("caffemodel", "solverstate"):
        contents = []
        for engine in ("real", "ours"):
            found = {}
            with h5py.File(tmp_path / f"{engine}_iter_{HALF}.{kind}.h5", "r") as file:
                file.visititems(
                    lambda name, item, found=found: (
                        found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                    )
                )
            contents.append(found)
        real, ours = contents
        assert set(ours) == set(real)
        for name, expected in real.items():
            if name != "learned_net":
                np.testing.assert_allclose(ours[name], expected, rtol=1e-3, atol=1e-5, err_msg=name)
    for writer, reader in (("ours", "real"), ("real", "ours")):
        state = str(tmp_path / f"{writer}_iter_{HALF}.solverstate.h5")
        rest = run(reader, real_caffe, tmp_path, OPTIONS, {"steps": HALF, "restore": state})
        assert rest["iter"] == 2 * HALF
        assert_close(weights(rest), weights(whole))


WRITE = """
import caffe
caffe.set_mode_cpu()
caffe.set_random_seed(1)
caffe.Net("../net.prototxt", caffe.TRAIN).save_hdf5("net.h5")
"""
READ = """
import caffe
caffe.set_mode_cpu()
for load in ("load_hdf5", "copy_from"):
    net = caffe.Net("../net.prototxt", caffe.TEST)
    getattr(net, load)("../{writer}/net.h5")
    for name, blobs in net.params.items():
        print(name, [float(blob.data.sum()) for blob in blobs])
"""


def test_weights_with_shared_params_are_read_by_the_other_engine(
    caffe_python: str, tmp_path: Path
) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text(NET)
    in_real_caffe(caffe_python, WRITE, tmp_path / "real")
    in_torchcaffe(WRITE, tmp_path / "ours")
    for writer in ("real", "ours"):
        script = READ.format(writer=writer)
        real = in_real_caffe(caffe_python, script, tmp_path / "real")
        ours = in_torchcaffe(script, tmp_path / "ours")
        assert_says_the_same(real.out, ours.out, 1e-5)


def layers_called(*names: str) -> str:
    """A net with an InnerProduct layer of each name."""
    layer = (
        'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{number}" '
        'inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}'
    )
    return 'input: "x" input_shape { dim: 1 dim: 3 }' + "".join(
        layer.format(name=name, number=number) for number, name in enumerate(names)
    )


def test_two_layers_of_one_name_are_refused_in_one_line(tmp_path: Path) -> None:
    """Real Caffe aborts on such a net."""
    pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text(layers_called("a", "a"))
    with pytest.raises(CaffeError, match="net.h5: an HDF5 file cannot hold two layers called 'a'"):
        caffe.Net(tmp_path / "net.prototxt", caffe.TEST).save_hdf5(tmp_path / "net.h5")
    assert not (tmp_path / "net.h5").exists()


@pytest.mark.parametrize("names", [("a", "a/0"), ("a/0", "a"), ("a", "a/1/b")])
def test_a_layer_where_another_one_has_a_parameter_is_refused_in_one_line(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    """Real Caffe aborts on such a net."""
    pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text(layers_called(*names))
    (tmp_path / "net.h5").write_bytes(b"before")
    other = next(name for name in names if name != "a")
    with pytest.raises(CaffeError, match=f"cannot hold layer '{other}' beside layer 'a', whose"):
        caffe.Net(tmp_path / "net.prototxt", caffe.TEST).save_hdf5(tmp_path / "net.h5")
    assert (tmp_path / "net.h5").read_bytes() == b"before"


def test_a_layer_takes_nothing_from_a_parameter_of_its_name(
    caffe_python: str, tmp_path: Path
) -> None:
    """What net.h5 has as a/0 is parameter 0 of layer a."""
    pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text(layers_called("a"))
    in_torchcaffe(WRITE, tmp_path / "ours")
    (tmp_path / "net.prototxt").write_text(layers_called("a", "a/0"))
    script = "import caffe\ncaffe.set_random_seed(2)" + READ.format(writer="ours")
    real = in_real_caffe(caffe_python, script, tmp_path / "real")
    ours = in_torchcaffe(script, tmp_path / "ours")
    assert_says_the_same(real.out, ours.out, 1e-5)


def test_layer_names_with_a_slash_are_kept_apart(tmp_path: Path) -> None:
    """GoogLeNet has such names; real Caffe aborts on them."""
    pytest.importorskip("h5py")
    names = ("a", "a/b", "c/d", "c")
    (tmp_path / "net.prototxt").write_text(layers_called(*names))
    first, second = (caffe.Net(tmp_path / "net.prototxt", caffe.TEST) for _ in range(2))
    first.save_hdf5(tmp_path / "net.h5")
    second.load_hdf5(tmp_path / "net.h5")
    for name in names:
        np.testing.assert_array_equal(second.params[name][0].data, first.params[name][0].data)


def test_a_missing_h5py_is_named_before_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    text = solver(f'{OPTIONS} snapshot: 10 snapshot_prefix: "{tmp_path}/x"', tmp_path)
    (tmp_path / "solver.prototxt").write_text(text)
    with pytest.raises(CaffeError, match=r"tinynet\[hdf5\]"):
        caffe.get_solver(tmp_path / "solver.prototxt")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    with pytest.raises(CaffeError, match="not an HDF5 file"):
        net.load_hdf5(tmp_path / "net.prototxt")
