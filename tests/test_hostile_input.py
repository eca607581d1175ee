"""Files from strangers: only the clear error, in bounded time and memory, and no file elsewhere."""

from __future__ import annotations

import ast
import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tinynet import sealed_json
from tinynet.data.pictures import BadPicture, decode_jpeg
from tinynet.data.store import decode_datum, encode_datum
from tinynet.errors import TinynetError
from tinynet.evaluation.probabilities import read_probabilities
from tinynet.paths import RunPaths
from tinynet.prototxt import binary, schema, text
from tinynet.training import log, run, snapshots

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for part in ("tinynet", "tests", "scripts") for path in (ROOT / part).rglob("*.py")
)
MEMORY = 64 << 20  # bytes that reading a small hostile file may take


@contextmanager
def bounded_memory() -> Iterator[None]:
    """What Python and numpy take inside stays below ``MEMORY``."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak < MEMORY, f"took {peak:,} bytes"
    finally:
        tracemalloc.stop()


def mangled(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some overwritten, taken out or put in; or quite other ones."""
    edits = st.lists(
        st.tuples(st.integers(0, len(whole)), st.integers(0, 8), st.binary(max_size=12)),
        min_size=1,
        max_size=4,
    )

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = whole
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        return data

    return st.one_of(edits.map(apply), st.binary(max_size=200))


FUZZ = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])

# ------------------------------------------------------------------ prototxt

NET = (ROOT / "prototxt/stage7_dropout2/train_val.prototxt").read_bytes()


@FUZZ
@given(mangled(NET[:1500]))
def test_mangled_prototxt_is_read_or_refused_with_file_and_line(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(data)
    try:
        net = text.read(path, schema.NetParameter)
    except TinynetError as error:
        assert str(error).startswith(f"{path}:") and len(str(error)) < 1000
    else:
        assert text.parse(text.format(net), schema.NetParameter, "again") == net


@pytest.mark.parametrize(
    "source",
    [
        "layer { " * 100_000,
        "layer { name: [" * 50_000,
        "force_backward: " + "<" * 100_000,
        "layer { param { name: " + "'a' " * 100_000,
        "input_dim: " + "9" * 1_000_000,
        "input_dim: 0x" + "f" * 1_000_000,
        "input_dim: 0" + "7" * 1_000_000,
        "layer { loss_weight: " + "1" * 1_000_000 + "e" + "9" * 1_000_000 + "x",
        "a" * 1_000_000,
        "name: '" + "\\x" * 500_000 + "'",
        "# " + "x" * 1_000_000 + "\n{",
        "input_dim: 1 " * 40_000 + "}",
        'name: "' + "x" * 5_000_000,
    ],
    ids=lambda source: source[:24],
)  # fmt: skip
def test_deep_nesting_and_huge_tokens_are_refused_in_one_short_line(source: str) -> None:
    with pytest.raises(TinynetError) as error:
        text.parse(source, schema.NetParameter, "net.prototxt")
    assert str(error.value).startswith("net.prototxt:") and len(str(error.value)) < 1000


def test_a_file_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(1 << 42)  # sparse: 4 TB that take no room
    for read in (
        lambda: text.read(path, schema.NetParameter),
        lambda: binary.read(path, schema.NetParameter),
        lambda: sealed_json.read(path, 1 << 20),
    ):
        with bounded_memory(), pytest.raises(TinynetError, match="longer than"):
            read()
    with pytest.raises(TinynetError, match="longer than 1,000 bytes"):
        binary.read_bytes("/dev/zero", 1000)


# ------------------------------------------------------------------ Caffe's binary files


def small_net() -> bytes:
    net = schema.NetParameter(name="net")
    for name in ("a", "b"):
        blob = net.layer.add(name=name, type="InnerProduct").blobs.add()
        blob.shape.dim.extend([2, 3])
        blob.data.extend([1.0] * 6)
    return net.SerializeToString()


def small_state() -> bytes:
    state = schema.SolverState(iter=10, learned_net="x_iter_10.caffemodel", current_step=0)
    state.history.add().data.extend([1.0] * 6)
    state.history.add().data.extend([1.0] * 6)
    return state.SerializeToString()


@FUZZ
@given(st.one_of(st.tuples(mangled(small_net()), st.just(small_state())),
                 st.tuples(st.just(small_net()), mangled(small_state()))))  # fmt: skip
def test_mangled_snapshots_are_whole_or_have_a_fault(
    tmp_path: Path, pair: tuple[bytes, bytes]
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    model, state = tmp_path / "x_iter_10.caffemodel", tmp_path / "x_iter_10.solverstate"
    model.write_bytes(pair[0])
    state.write_bytes(pair[1])
    (snapshot,) = snapshots.snapshots(tmp_path)
    reason = snapshots.fault(snapshot)
    assert reason is None or (str(tmp_path) in reason and "\n" not in reason.strip())


def test_a_model_that_states_a_giant_shape_takes_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tinynet.torchcaffe import blob_proto
    from tinynet.torchcaffe.errors import CaffeError

    for dims in ([2**31, 2**31], [2**62], [-1, -6], [0] * 3):
        blob = schema.BlobProto()
        blob.shape.dim.extend(dims)
        blob.data.extend([1.0] * 6)
        with bounded_memory(), pytest.raises(CaffeError, match="the file has 6"):
            blob_proto.decode(blob, "a blob")


@FUZZ
@example(data=b"\x89HDF\r\n\x1a\n")
@given(data=mangled(small_state()))
def test_a_mangled_solverstate_is_refused_by_the_solver(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("torch")
    from tinynet.torchcaffe import snapshot

    path = tmp_path / "x_iter_10.solverstate"
    path.write_bytes(data)
    try:
        snapshot._read(path)
    except TinynetError as error:
        assert str(path) in str(error)


def test_an_hdf5_solverstate_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("h5py")
    from tinynet.torchcaffe import hdf5

    whole = tmp_path / "whole.h5"
    hdf5.save_state(whole, hdf5.State(10, 0, "x.caffemodel", [np.ones(6, np.float32)]))
    data = whole.read_bytes()
    path = tmp_path / "cut.h5"
    for length in range(8, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        with pytest.raises(TinynetError, match=str(path)):
            hdf5.load_state(path)
    path.write_bytes(data.replace(b"history", b"hostile"))
    with pytest.raises(TinynetError, match=str(path)):
        hdf5.load_state(path)


# ------------------------------------------------------------------ what a run writes of itself

STATE = {
    "format": "tinynet complete state 1", "iteration": 10, "losses": [1.5],
    "files": {"model": {"name": "../../m", "sha256": "0"}, "state": {"name": "s", "sha256": "0"}},
    "made_with": {"precision": "float32"}, "nets": [{"data": {"record": 3, "records": 10}}],
    "random": {"main": {"key": "00" * 2496, "position": 624}},
}  # fmt: skip


@FUZZ
@given(mangled(json.dumps(STATE).encode()))
def test_what_was_not_sealed_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x_iter_10.complete.json"
    path.write_bytes(data)
    with pytest.raises(TinynetError, match="complete.json"):
        sealed_json.read(path, 1 << 20)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["model", "state", "name", "sha256", "data", "record", "records", "main", "key", "position"]
    ), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(FUZZ, max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(STATE)), json_values, max_size=4))
def test_a_sealed_complete_state_of_any_content_is_applied_or_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """The seal keeps out accidents; whoever wants to can seal anything."""
    pytest.importorskip("torch")
    from tinynet.torchcaffe import complete_state

    class Solver:
        iter = 10
        net = None
        test_nets = ()

        def go_on_with_losses(self, losses: list[float]) -> None:
            assert all(isinstance(loss, float) for loss in losses)

    state = tmp_path / "x_iter_10.solverstate"
    sealed_json.write(tmp_path / "x_iter_10.complete.json", {**STATE, **changes})
    with pytest.raises(TinynetError):
        complete_state.restore(Solver(), state)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"x_iter_10.complete.json"}
    snapshot = snapshots.Snapshot(10, state, state.with_suffix(".caffemodel"))
    snapshot.model.write_bytes(small_net())
    state.write_bytes(small_state())
    assert snapshots.fault(snapshot) is not None
    for path in tmp_path.iterdir():
        path.unlink()


@FUZZ
@given(mangled(b'{"iteration": 10, "train_loss": 1.5}\n{"iteration": 20, "val_accuracy": 0.5}\n'))
def test_a_mangled_history_or_log_is_read_as_far_as_it_goes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(data)
    assert all(isinstance(record["iteration"], int) for record in log.read_history(path))
    path.write_bytes(b"I1122 23:59:51.000000 77 solver.cpp:239] Iteration 10, loss = 4.5\n" + data)
    log.rebuild_history(path)


@FUZZ
@given(mangled(json.dumps({"state": "running", "iteration": 3, "sessions": []}).encode()))
def test_a_mangled_run_json_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    paths = RunPaths(tmp_path)
    paths.run_json.write_bytes(data)
    try:
        run.load(paths.run_json)
    except TinynetError as error:
        assert str(error).startswith(str(paths.run_json))


# ------------------------------------------------------------------ pictures and Datums


def png_of(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes whose header states any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(9000, 9000), (20000, 20000), (60000, 60000), (2**31 - 1, 9)])
def test_an_encoded_datum_that_asks_for_gigabytes_is_refused(size: tuple[int, int]) -> None:
    datum = schema.Datum(encoded=True, data=png_of(*size), label=1)
    with bounded_memory(), pytest.raises(TinynetError, match="cannot be decoded"):
        decode_datum(datum.SerializeToString())


@FUZZ
@given(st.one_of(
    mangled(encode_datum(np.arange(48, dtype=np.uint8).reshape(3, 4, 4), 2)),
    mangled(png_of(8, 8)).map(lambda data: schema.Datum(encoded=True, data=data)
                              .SerializeToString()),
))  # fmt: skip
def test_a_mangled_datum_is_decoded_or_refused(data: bytes) -> None:
    with bounded_memory():
        try:
            pixels, _ = decode_datum(data)
        except TinynetError:
            return
    assert pixels.ndim == 3


def jpeg(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 200)).save(out, "jpeg")
    data = out.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("size", [(65, 64), (60000, 60000), (65535, 65535), (0, 0)])
def test_a_jpeg_that_states_another_size_is_refused(size: tuple[int, int]) -> None:
    with bounded_memory(), pytest.raises(BadPicture):
        decode_jpeg(jpeg(*size))


@FUZZ
@given(mangled(jpeg(64, 64)))
def test_a_mangled_jpeg_is_a_picture_or_a_bad_one(data: bytes) -> None:
    with bounded_memory():
        try:
            pixels, _ = decode_jpeg(data)
        except BadPicture:
            return
    assert pixels.shape == (3, 64, 64)


# ------------------------------------------------------------------ probabilities


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
    header += b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(path: Path, arrays: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)
    return path


def good_arrays() -> dict[str, bytes]:
    return {
        "probabilities": npy("'<f4'", "(2, 2)", np.full(4, 0.5, "<f4").tobytes()),
        "labels": npy("'<i8'", "(2,)", np.zeros(2, "<i8").tobytes()),
        "names": npy("'<U1'", "(2,)", "ab".encode("utf-32-le")),
        "wnids": npy("'<U1'", "(2,)", "ab".encode("utf-32-le")),
        "crop": npy("'<U6'", "()", "center".encode("utf-32-le")),
    }


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("probabilities", npy("'|O'", "(2, 2)", b"cos\nsystem\n(S'touch pwned'\ntR.")),
        ("names", npy("'|O'", "(2,)", b"cos\nsystem\n(S'touch pwned'\ntR.")),
        ("probabilities", npy("[('a', '<f4')]", "(2, 2)", bytes(16))),
        ("probabilities", npy("'<f4'", "(1000000, 1000000)", bytes(16))),
        ("probabilities", npy("'<f4'", "(9999999999999999999999, 9)", bytes(16))),
        ("probabilities", npy("'<f4'", "(-2, -2)", bytes(16))),
        ("labels", npy("'<U999999999'", "(2,)", bytes(16))),
        ("probabilities", npy("'<f4'", "(8000, 32000)", bytes(1_024_000_000 // 50))),
        ("crop", npy("'<U6'", "(1,)", "center".encode("utf-32-le"))),
        ("wnids", npy("'<U3'", "(2,)", "../\x00/a".encode("utf-32-le"))),
        ("labels", b""),
        ("names", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70000),
    ],
)
def test_hostile_probabilities_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    good = archive(tmp_path / "good.npz", good_arrays())
    assert read_probabilities(good).probabilities.shape == (2, 2)
    bad = archive(tmp_path / "bad.npz", {**good_arrays(), key: content})
    with bounded_memory(), pytest.raises(TinynetError, match=r"bad\.npz"):
        read_probabilities(bad)
    assert {path.name for path in tmp_path.iterdir()} == {"good.npz", "bad.npz"}


def test_a_zip_bomb_of_zeros_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = npy("'<f4'", "(2, 2)", bytes(200 << 20))
    path = archive(tmp_path / "bomb.npz", {**good_arrays(), "probabilities": bomb})
    assert path.stat().st_size < 1 << 20
    with bounded_memory(), pytest.raises(TinynetError, match=r"bomb\.npz"):
        read_probabilities(path)


# ------------------------------------------------------------------ names, and what is never used


def test_names_of_runs_and_folders_are_never_shell_text(tmp_path: Path) -> None:
    from tests.training import small_runs

    pytest.importorskip("torch")
    name = "a; touch pwned $(touch pwned) '\"`ü"
    folder = tmp_path / name
    folder.mkdir()
    small_runs.write_files(folder)
    child = small_runs.train(folder, f"--name={name}", "--max-iter", "4", "--engine", "torch")
    assert child.returncode == 0, child.stderr
    assert (folder / "runs/small" / name / "run.json").exists()
    assert not list(tmp_path.rglob("pwned"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_there_is_no_pickle_and_no_shell_anywhere() -> None:
    forbidden = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
    seen = 0
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path
        for name, call in calls(tree):
            seen += 1
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get("shell", "False") == "False", f"{path}: {name}"
            assert given.get("allow_pickle", "False") == "False", f"{path}: {name}"
            assert name not in ("os.system", "os.popen"), path
            if name in ("torch.load",):
                assert given.get("weights_only") == "True", path
            if path.is_relative_to(ROOT / "tinynet"):
                assert name not in ("eval", "exec"), path
    assert seen > 1000, "is this test reading anything?"


def test_the_readers_run_in_little_memory() -> None:
    """All of them on hostile files at once, in a process that may not take more."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1500 << 20, 1500 << 20))\n"
        "from tests import test_hostile_input as t\n"
        "for size in ((9000, 9000), (60000, 60000)):\n"
        "    t.test_an_encoded_datum_that_asks_for_gigabytes_is_refused(size)\n"
        "print('done')"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert child.stdout == "done\n", child.stderr
