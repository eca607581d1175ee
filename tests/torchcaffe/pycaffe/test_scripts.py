"""pycaffe scripts run unchanged: ``import caffe`` is this engine, and Python 2 is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

import tinynet.torchcaffe as engine
from tests.children import python
from tests.torchcaffe.user_scripts import in_torchcaffe
from tinynet.torchcaffe import script_advice
from tinynet.torchcaffe.pycaffe import script
from tinynet.torchcaffe.pycaffe.as_caffe import MODULES

SCRIPTS = Path(__file__).parents[1] / "scripts"
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def modules_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a script changes in this process: its modules, arguments and path."""
    before = dict(sys.modules)
    for name in ("argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def write_file(folder: Path, source: str | bytes, name: str = "script.py") -> Path:
    path = folder / name
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path


# --- install_as_caffe


def test_every_module_of_pycaffe_is_importable_by_its_name() -> None:
    engine.install_as_caffe()
    engine.install_as_caffe()  # a second call changes nothing
    names: dict[str, types.ModuleType] = {}
    for name in MODULES:
        exec(f"import {name} as module", names)
        assert names["module"] is sys.modules[name] is sys.modules[MODULES[name]]
    exec("import caffe._caffe, caffe.coord_map, caffe.io, caffe.proto.caffe_pb2", names)
    caffe = names["caffe"]
    assert caffe is engine
    for name in ("pycaffe.SGDSolver", "_caffe.RawBlobVec", "coord_map.crop", "net_spec.NetSpec"):
        found: object = caffe
        for part in name.split("."):
            found = getattr(found, part)
        assert isinstance(found, (type, types.FunctionType)), name


def test_io_has_the_names_that_pycaffes_io_imports() -> None:
    assert engine.io.caffe_pb2.Datum().encoded is False
    assert engine.io.zoom(np.ones((2, 2)), 2).shape == (4, 4)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        engine.io.nothing  # noqa: B018


def test_io_has_scipys_zoom_even_if_the_script_has_a_module_of_that_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "zoom", types.ModuleType("zoom"))
    assert engine.io.zoom is scipy.ndimage.zoom


def test_another_caffe_in_the_process_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.ModuleType("caffe")
    other.__file__ = "/elsewhere/caffe/__init__.py"
    monkeypatch.setitem(sys.modules, "caffe", other)
    with pytest.raises(engine.CaffeError, match=r"/elsewhere/caffe/__init__\.py; call"):
        engine.install_as_caffe()
    assert sys.modules["caffe"] is other


# --- running a script


def test_a_script_has_its_name_arguments_folder_and_main_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_file(tmp_path, "import caffe\n", "b.py")
    source = (
        "import sys, b, __main__\n"
        "print(sys.argv[1:], __name__, __file__ == sys.argv[0], __main__.__file__ == __file__)\n"
    )
    path = write_file(tmp_path, source)
    assert script.run(str(path), ["--help", "x"]) == 0
    assert capsys.readouterr().out == "['--help', 'x'] __main__ True True\n"


def test_annotations_in_a_script_are_evaluated_as_python_evaluates_them(tmp_path: Path) -> None:
    path = write_file(tmp_path, "def f(x: int): pass\nassert f.__annotations__ == {'x': int}\n")
    assert script.run(str(path), []) == 0


def test_a_script_is_read_in_the_encoding_that_it_declares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, b"# -*- coding: latin-1 -*-\nprint(len('\xe9\xe8'))\n")
    assert script.run(str(path), []) == 0
    assert capsys.readouterr().out == "2\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('print "loss"', "a print statement"),
        ("exec 'x = 1'", "an exec statement"),
        ("raise ValueError, 'x'", "raise CLASS, VALUE"),
        ("x = `3`", "`backquotes`"),
        ("x = 3 <> 4", "the operator <>"),
        ("x = 10L", "a long number"),
        ("x = 0644", "an octal number"),
        ("x = ur'x'", "a ur'' string"),
        ("f = lambda (a, b): a", "a tuple as parameter"),
    ],
)
def test_a_script_in_python_2_is_refused_with_one_message_that_names_the_line(
    line: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, f"import sys\nimport caffe\n{line}\n")
    assert script.run(str(path), []) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"tinynet: {path}, line 3: ")
    assert "this is Python 2" in told and what in told
    assert told.endswith(f"convert the file: {script_advice.converter()} {path}")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has no lib2to3")
def test_the_advice_to_convert_works(tmp_path: Path) -> None:
    path = write_file(tmp_path, 'import caffe\nfor i in xrange(2):\n    print "n", i\n')
    command = script_advice.converter().split() + [str(path)]
    assert python(*command[1:]).returncode == 0
    assert script.run(str(path), []) == 0


def test_a_module_in_python_2_that_the_script_imports_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = write_file(tmp_path, "def f():\n    print 'x'\n", "old_tools.py")
    path = write_file(tmp_path, "import old_tools\n")
    assert script.run(str(path), []) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"tinynet: {module}, line 2: ")


def test_a_syntax_error_of_python_3_is_shown_as_python_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "def f(:\n    pass\n")
    assert script.run(str(path), []) == 1
    told = capsys.readouterr().err
    assert "SyntaxError" in told and "Python 2" not in told


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("xrange(3)", "write range for xrange"),
        ("unicode('x')", "write str for unicode"),
        ("import cPickle", "the module cPickle is pickle"),
        ("from itertools import izip", "write zip for izip"),
        ("{}.iteritems()", "write items() for iteritems"),
        ("{}.has_key(1)", "write KEY in MAPPING for has_key"),
        ("(x for x in []).next()", "write next(ITERATOR) for next"),
        ("map(str, [1])[0]", "write list(…) around them"),
        ("range(10 / 2)", "write a // b"),
        ("import string; string.join(['a'], '_')", "write SEPARATOR.join(LIST) for join"),
        ("import numpy; range(numpy.float32(2))", "write int(…)"),
        ("import collections; collections.OrderedDict().keys()[0]", "write list(…) around them"),
        ("import io; io.BytesIO('x')", "like a BytesIO, takes bytes"),
        ("caffe.proto.caffe_pb2.Datum(data='x')", "a message's bytes are no text"),
        ("print >>open('/dev/null'), 3", "write print(…, file=FILE)"),
        ("open('/dev/null', 'wb').write('x')", "write TEXT.encode()"),
        ("open('/dev/null', 'w').write(b'x')", "open the file with 'wb'"),
        ("b'\\xff'.decode()", "open the file with 'rb'"),
    ],
)
def test_a_traceback_caused_by_python_2_code_ends_with_advice(
    line: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, f"import caffe\n\n{line}\n")
    assert script.run(str(path), []) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.startswith(f"tinynet: {path}, line 3: looks like Python 2")
    assert advice in last


@pytest.mark.parametrize(
    ("name", "instead"), [("float", "float (or np.float64)"), ("bool", "bool (or np.bool_)")]
)
def test_a_name_that_numpy_removed_is_named_with_its_replacement(
    name: str, instead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if hasattr(np, name):
        pytest.skip(f"this numpy has np.{name}")
    path = write_file(tmp_path, f"import numpy as np\ndef f():\n    return np.{name}(3)\nf()\n")
    assert script.run(str(path), []) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"tinynet: {path}, line 3: np.{name} is gone from numpy")
    assert f"write {instead}" in last


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("caffe.set_phase_test()", "set_phase_test is of a pycaffe before 1.0, and is gone: give"),
        ("caffe.Segmenter", "Segmenter is not Caffe's: it is CRF-RNN's"),
        ("caffe.io.flip_image(1)", "flip_image is not Caffe's: it is lisa-caffe's"),
        ("import caffe.model_libs", "model_libs is not Caffe's: it is SSD's"),
        ("from caffe import no_such_name", "pycaffe 1.0 has no no_such_name; a script that"),
        ("caffe.io.Transformer({}).set_is_flow('x', 1)", "set_is_flow is not Caffe's"),
        ("caffe.Classifier('x', 'y', mean_file='z')", "mean_file is of a pycaffe before 1.0, and"),
        ("caffe.proto.caffe_pb2.LabelMap()", "Caffe has no LabelMap; what a fork has can be"),
        (
            "Merge('lstm_param { }', caffe.proto.caffe_pb2.LayerParameter())",
            "Caffe has no lstm_param; what",
        ),
        (
            "caffe.layers.BN(name='x', bn_mode=1).to_proto()",
            "Caffe has no bn_mode; what a fork has",
        ),
        ("caffe.proto.caffe_pb2.Datum(hu1=1)", "Caffe has no hu1; what a fork has"),
        ("from scipy.misc import imresize", "is gone from scipy: write PIL.Image."),
        ("import yaml; yaml.load('x')", "write yaml.safe_load"),
        ("import numpy; numpy.ones(1).tostring()", "write ARRAY.tobytes()"),
        ("from collections import Mapping", "write collections.abc for collections"),
        ("caffe.get_solver_from_string('')", "get_solver_from_string is not Caffe's: it is a fork"),
        ("import numpy; numpy.fromstring(b'x', numpy.uint8)", "write np.frombuffer(…)"),
    ],
)
def test_a_traceback_caused_by_a_name_of_another_caffe_or_library_ends_by_naming_its_source(
    line: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("yaml", "scipy"):
        if module in line:
            pytest.importorskip(module)
    if "tostring" in line and hasattr(np.ndarray, "tostring"):
        pytest.skip("this numpy has tostring")
    path = write_file(
        tmp_path, f"import caffe\nfrom google.protobuf.text_format import Merge\n{line}\n"
    )
    assert script.run(str(path), []) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"tinynet: {path}, line 3: ") and advice in last


@pytest.mark.skipif(sys.version_info < (3, 10), reason="an error does not know its object yet")
def test_a_missing_field_that_a_script_reads_from_a_message_is_reported_as_a_forks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "import caffe\ncaffe.io.caffe_pb2.LayerParameter().bn_param\n")
    assert script.run(str(path), []) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"tinynet: {path}, line 2: Caffe has no bn_param; what a fork has")


def test_python_2s_division_in_an_argument_is_advised_at_the_scripts_line_not_at_the_engines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 4 } } }'
    (tmp_path / "net.prototxt").write_text(net)
    made = f"caffe.Net({str(tmp_path / 'net.prototxt')!r}, caffe.TEST)"
    path = write_file(tmp_path, f"import caffe\n{made}.blobs['d'].reshape(4 / 2)\n")
    assert script.run(str(path), []) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"tinynet: {path}, line 2: looks like Python 2")
    assert "write a // b" in last and last.endswith(f"{script_advice.converter()} {path}")


def test_a_notebook_is_refused_with_the_command_that_makes_it_a_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dream.ipynb"
    path.write_text('{\n "cells": [],\n "metadata": {"collapsed": false},\n "nbformat": 4\n}\n')
    assert script.run(str(path), []) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.endswith(f"is a notebook; make it a script: jupyter nbconvert --to script {path}")


@pytest.mark.parametrize(
    "line",
    [
        "class Net: pass\nNet().set_mode_gpu()",
        "undefined_name",
        "import no_such_module_here",
        "object().next",
        "[].nothing",
        "{}['x']",
        "1 + 'x'",
    ],
)
def test_an_error_of_the_script_itself_is_shown_without_advice(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, f"{line}\n")
    assert script.run(str(path), []) == 1
    told = capsys.readouterr().err
    # starting at the script's own first frame
    assert told.startswith(f'Traceback (most recent call last):\n  File "{path}", line ')
    assert "tinynet: " not in told


def test_a_missing_script_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.run("nowhere.py", []) == 2
    assert "nowhere.py: No such file" in capsys.readouterr().err


# --- from a shell


def test_a_script_and_its_python_layers_run_unchanged_from_the_command_line(tmp_path: Path) -> None:
    modules = {"own_layers": (SCRIPTS / "own_layers.py").read_text()}
    text = (SCRIPTS / "python_layers.py").read_text()
    changed = in_torchcaffe(text, tmp_path / "changed", **modules)
    folder = tmp_path / "unchanged"
    folder.mkdir()
    write_file(folder, modules["own_layers"], "own_layers.py")
    ended = python(
        "-m", "tinynet", "caffe", "run", write_file(folder, text), folder=tmp_path / "changed"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == changed.out


OWN_END = """
import atexit, sys
import caffe
atexit.register(print, "at the exit")
print(sys.argv[1:], sys.stdin.read(), caffe.__name__)
sys.exit(7)
"""


def test_a_script_gets_the_streams_and_arguments_and_sets_the_exit_status(tmp_path: Path) -> None:
    path = write_file(tmp_path, OWN_END)
    for command in (["tinynet", "caffe", "run"], ["tinynet.torchcaffe"]):
        ended = python("-m", *command, path, "-h", "--gpu", "2", folder=tmp_path, stdin="input")
        assert ended.returncode == 7, ended.stderr
        assert ended.stdout.splitlines() == [
            "['-h', '--gpu', '2'] input tinynet.torchcaffe",
            "at the exit",
        ]


WAITS = """
import sys, time
import caffe
try:
    print("waits", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    sys.exit(5)
"""


def test_a_script_receives_the_signals(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "tinynet", "caffe", "run", str(write_file(tmp_path, WAITS))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None and child.stdout.readline() == "waits\n"
        child.send_signal(signal.SIGINT)
        assert child.wait() == 5


SOLVER = """
net: "net.prototxt" base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" random_seed: 9
snapshot_prefix: "own" max_iter: 3 display: 1
"""


@pytest.mark.parametrize(
    "command", [["caffe", "train", "-solver"], ["train", "--cpu", "--engine", "torch"]]
)
def test_python_layers_that_import_caffe_train_from_the_command_line(
    command: list[str], tmp_path: Path
) -> None:
    net = (SCRIPTS / "python_layers.py").read_text().split('"""')[3]
    for name, text in (
        ("net.prototxt", net),
        ("solver.prototxt", SOLVER),
        ("own_layers.py", (SCRIPTS / "own_layers.py").read_text()),
    ):
        write_file(tmp_path, text, name)
    place = f"{ROOT}{os.pathsep}{tmp_path}"
    ended = python("-m", "tinynet", *command, "solver.prototxt", folder=tmp_path, PYTHONPATH=place)
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.rglob("own_iter_3.caffemodel")) or list(tmp_path.rglob("*_3.caffemodel"))


def test_a_python_layer_in_python_2_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = write_file(tmp_path, "import caffe\nprint 'loaded'\n", "old_layer.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    net = write_file(
        tmp_path,
        'layer { name: "old" type: "Python" top: "x"\n'
        '  python_param { module: "old_layer" layer: "Old" } }\n',
        "net.prototxt",
    )
    with pytest.raises(engine.CaffeError, match=r"Python layer old: .*this is Python 2") as refused:
        engine.Net(str(net), engine.TEST)
    assert f"{module}, line 2" in str(refused.value)
