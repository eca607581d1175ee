"""Runs inside a real Caffe's interpreter: builds nets from a seed and stores what they drew.

    CAFFE_PYTHON draw_in_caffe.py REQUESTS.json OUT.npz

REQUESTS.json is a list of requests, each with a ``name`` and

* either ``net`` (prototxt text), ``seed``, ``phase`` (0 TRAIN, 1 TEST) and ``forwards``,
* or ``solver`` (prototxt text, which names its net's file and holds the seed) and ``steps``;

and ``blobs``, the names of blobs to keep after each forward or step.  OUT.npz then holds
``NAME/param/LAYER/INDEX`` (right after the set-up), ``NAME/test/LAYER/INDEX`` (the first test
net's) and ``NAME/blob/BLOB/STEP``.  A request with ``refused``, which Caffe should abort, runs
in a process of its own and leaves ``NAME/refused``, true or false.  Python 3.6 syntax, numpy and
caffe only.
"""

import contextlib
import json
import os
import sys
import tempfile

os.environ.setdefault("GLOG_minloglevel", "2")

import caffe
import numpy as np


@contextlib.contextmanager
def _file(text):
    """Yield the path of a file with this text, which exists within the block."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text)
        file.flush()
        yield file.name


def _store_params(result, prefix, net):
    for layer in net.params:
        for index, blob in enumerate(net.params[layer]):
            result[f"{prefix}/{layer}/{index}"] = blob.data.copy()


def _answer(request, result):
    name = request["name"]
    if "solver" in request:
        with _file(request["solver"]) as path:
            solver = caffe.get_solver(path)
        net, repeat, advance = solver.net, request["steps"], lambda: solver.step(1)
        if len(solver.test_nets):
            _store_params(result, name + "/test", solver.test_nets[0])
    else:
        caffe.set_random_seed(request["seed"])
        with _file(request["net"]) as path:
            net = caffe.Net(path, request["phase"])
        repeat, advance = request["forwards"], net.forward
    _store_params(result, name + "/param", net)
    for step in range(repeat):
        advance()
        for blob in request["blobs"]:
            result[f"{name}/blob/{blob}/{step}"] = net.blobs[blob].data.copy()


def _refused(request):
    """Whether Caffe aborts on the request.  Runs it in a fork and discards its output."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child:
            return os.WIFSIGNALED(os.waitpid(child, 0)[1])
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        tempfile.tempdir = folder  # a process that aborts does not remove its files
        try:
            _answer(request, {})
        finally:
            os._exit(0)


def main():
    caffe.set_mode_cpu()
    with open(sys.argv[1]) as file:
        requests = json.load(file)
    result = {}
    for request in requests:
        if request.get("refused"):
            result[request["name"] + "/refused"] = np.array(_refused(request))
    for request in requests:
        if not request.get("refused"):
            _answer(request, result)
    np.savez(sys.argv[2], **result)


if __name__ == "__main__":
    main()
