"""Caffe's own pycaffe tests, read from Caffe's source, pass on this engine."""

from __future__ import annotations

import sys
import types
import unittest
from pathlib import Path

import pytest

from tests.torchcaffe.user_scripts import as_caffe

MODULES = (
    "test_coord_map",
    "test_io",
    "test_layer_type_list",
    "test_net",
    "test_net_spec",
    "test_python_layer",
    "test_python_layer_with_param_str",
    "test_solver",
)


@pytest.mark.parametrize("module", MODULES)
def test_caffes_own_tests_pass(
    module: str, caffe_source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("six")  # the tests themselves import it
    folder = caffe_source / "python" / "caffe" / "test"
    monkeypatch.chdir(tmp_path)  # the solver's snapshots go to the working directory
    loaded = {}
    with as_caffe():
        for name in ("test_net", module):  # test_solver takes a function from test_net
            loaded[name] = types.ModuleType(name)
            monkeypatch.setitem(sys.modules, name, loaded[name])
            text = (folder / f"{name}.py").read_text()
            # gone since Python 3.12
            text = text.replace("assertRaisesRegexp", "assertRaisesRegex")
            text = text.replace("assertEquals", "assertEqual")
            exec(compile(text, str(folder / f"{name}.py"), "exec"), loaded[name].__dict__)
        suite = unittest.defaultTestLoader.loadTestsFromModule(loaded[module])
        result = unittest.TestResult()
        suite.run(result)
    assert result.testsRun
    reports = [text for _, text in result.failures + result.errors]
    assert not reports, "\n".join(reports)
