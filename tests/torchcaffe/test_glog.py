"""The log names the file and line that log a message, as glog does."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr
from pathlib import Path

import pytest

import tinynet.torchcaffe as caffe
from tinynet.caffeformat.glog import glog_line

pytestmark = pytest.mark.usefixtures("logged")

NET = 'name: "n" layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'


def test_every_line_of_a_nets_log_names_the_source_line_that_logs_it(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    log = io.StringIO()
    with redirect_stderr(log):
        caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    locations = re.findall(r"^[IWE]\d{4} \S+ +\d+ (\w+\.py):(\d+)\] ", log.getvalue(), re.M)
    assert {name for name, _ in locations} >= {"rewrites.py", "net_graph.py"}
    for name, number in locations:
        (path,) = Path(caffe.__file__).parent.rglob(name)
        lines = path.read_text().splitlines()
        # a call over several lines is named by its first line
        assert "glog." in lines[int(number) - 1], (name, number)


def test_a_wrapper_can_name_its_caller() -> None:
    def wrapper() -> str:
        return glog_line("text", "I", stacklevel=2)

    number = wrapper.__code__.co_firstlineno + 4
    assert f"{Path(__file__).name}:{number}] text" in wrapper()
