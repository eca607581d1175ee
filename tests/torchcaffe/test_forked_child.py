"""A script may fork after it has computed, as with real Caffe, and its child can compute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.children import python

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# large enough for PyTorch to share the work among threads
SCRIPT = """
import os, signal
import numpy as np
import torch
import tinynet.torchcaffe as caffe

open("net.prototxt", "w").write('''
    input: "data" input_shape { dim: 4 dim: 16 dim: 64 dim: 64 }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
      num_output: 32 kernel_size: 3 weight_filler { type: "msra" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }''')
torch.set_num_threads(2)

def in_a_child(answer):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for threads that do not exist
        os._exit(answer())
    return os.waitpid(child, 0)[1]

def threads_that_compute():
    same = np.allclose(net.forward()["conv"], expected)
    return torch.get_num_threads() if same else 3

before = in_a_child(torch.get_num_threads)
net = caffe.Net("net.prototxt", caffe.TEST)
net.blobs["data"].data[...] = 1
expected = net.forward()["conv"].copy()
print(before, in_a_child(threads_that_compute), torch.get_num_threads())
"""


def test_a_child_computes_on_one_thread_if_its_parent_has_computed(tmp_path: Path) -> None:
    """Otherwise it uses all threads: py-faster-rcnn runs each training in a child."""
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = python("script.py", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    # exit statuses, as os.waitpid gives them
    assert ended.stdout == f"{2 << 8} {1 << 8} 2\n"
