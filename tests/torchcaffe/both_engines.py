"""Runs nets and solvers of either engine through the pycaffe API and returns their values.

``answer(caffe, request)`` works with either engine's module.  Real Caffe runs it in a process of
its own, which serves many requests: Python 3.6, numpy and caffe.
"""

import contextlib
import json
import os
import sys
import tempfile
import traceback

import numpy as np


@contextlib.contextmanager
def _file(text):
    """Yield the path of a file with this text, which exists within the block."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text)
        file.flush()
        yield file.name


def _keep(result, prefix, net):
    for name, blob in net.blobs.items():
        result["%s/data/%s" % (prefix, name)] = blob.data.copy()
        result["%s/diff/%s" % (prefix, name)] = blob.diff.copy()
    for name, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            result["%s/param/%s/%d" % (prefix, name, index)] = blob.data.copy()
            result["%s/param_diff/%s/%d" % (prefix, name, index)] = blob.diff.copy()


def run_net(caffe, request, inputs):
    """Run forward and backward ``passes`` times, from inputs given by blob name.

    ``shapes`` reshapes blobs before a pass ([{name: shape} per pass]): they take as many values as
    they need from the start of their input.  ``clear`` false lets the passes' diffs add up.
    ``arrays`` names the inputs that go to ``set_input_arrays``, data and labels.  The diff of each
    of ``top_diffs`` is a ramp, or the input that ``given_diffs`` names for it.  ``save`` is the
    path of a .caffemodel to write at the end.  ``layers``: a folder with modules of Python layers.
    """
    if request.get("layers", sys.path[0]) not in sys.path:
        sys.path.append(request["layers"])
    caffe.set_random_seed(request.get("seed", 1))
    with _file(request["net"]) as path:
        net = caffe.Net(
            path,
            request.get("phase", 0),
            level=request.get("level", 0),
            stages=request.get("stages"),
        )
    if "weights" in request:
        net.copy_from(request["weights"])
    arrays = request.get("arrays", [])
    given = request.get("given_diffs", {})
    if arrays:
        net.set_input_arrays(*[inputs[name] for name in arrays])
    result = {}
    for number in range(request.get("passes", 1)):
        for name, shape in request["shapes"][number].items() if "shapes" in request else ():
            net.blobs[name].reshape(*shape)
        for name, values in inputs.items():
            if name not in arrays and name not in given.values():
                data = net.blobs[name].data
                data[...] = values.ravel()[: data.size].reshape(data.shape)
        if request.get("clear", True):
            net.clear_param_diffs()
        net.forward()
        if request.get("backward", True):
            for name in request.get("top_diffs", ()):
                shape = net.blobs[name].diff.shape
                ramp = np.cos(np.arange(net.blobs[name].diff.size, dtype=np.float32))
                net.blobs[name].diff[...] = (
                    inputs[given[name]] if name in given else ramp.reshape(shape)
                )
            net.backward()
        _keep(result, str(number), net)
    if "save" in request:
        net.save(request["save"])
    result["outputs"] = np.array(list(net.outputs))
    result["layers"] = np.array(list(net._layer_names))
    result["blobs"] = np.array(list(net.blobs))
    return result


def run_solver(caffe, request, inputs):
    """Make ``steps`` updates; return the loss of each, and every parameter before and after them.

    With ``pass`` true, one more forward and backward pass follows, without an update; the result
    then also has what ``run_net`` returns of its first pass.  With ``test_pass`` true, the test net
    runs forward as well.
    """
    with _file(request["solver"]) as path:
        solver = caffe.get_solver(path)
    if "weights" in request:
        solver.net.copy_from(request["weights"])
    if "restore" in request:
        solver.restore(request["restore"])
    for name, values in inputs.items():
        solver.net.blobs[name].data[...] = values
    losses = []
    result = {}
    for name, blobs in solver.net.params.items():
        for index, blob in enumerate(blobs):
            result["start/%s/%d" % (name, index)] = blob.data.copy()
    for _ in range(request["steps"]):
        solver.step(1)
        losses.append(float(solver.net.blobs[request.get("loss", "loss")].data))
    for name, blobs in solver.net.params.items():
        for index, blob in enumerate(blobs):
            result["end/%s/%d" % (name, index)] = blob.data.copy()
    if request.get("snapshot"):
        solver.snapshot()
    if request.get("pass"):
        solver.net.clear_param_diffs()
        solver.net.forward()
        solver.net.backward()
        _keep(result, "0", solver.net)
    if request.get("test_pass"):
        solver.test_nets[0].forward()
        _keep(result, "test", solver.test_nets[0])
    result["losses"] = np.array(losses)
    result["iter"] = np.array(solver.iter)
    return result


def answer(caffe, request, inputs):
    """Run ``request`` (see ``run_net``, ``run_solver``) on the engine module ``caffe``."""
    caffe.set_mode_cpu()
    run = run_solver if "solver" in request else run_net
    return run(caffe, request, inputs)


def attempt(caffe, request, inputs, folder):
    """Return how ``answer`` ends in a child process: 'done', 'raised' or 'aborted'."""
    child = os.fork()
    if child == 0:
        log = os.open(os.path.join(folder, "stderr"), os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 2)
        tempfile.tempdir = folder  # a process that aborts does not remove its files
        status = 0
        try:
            answer(caffe, request, inputs)
        except Exception:
            traceback.print_exc()
            status = 1
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "aborted"
    return "raised" if os.WEXITSTATUS(status) else "done"


if __name__ == "__main__":
    import caffe as real_caffe

    # each line of stdin names a folder: request.json and inputs.npz in, out.npz out (no out.npz
    # if the question is only whether Caffe refuses)
    for line in sys.stdin:
        folder = line.strip()
        with open(os.path.join(folder, "request.json")) as request_file:
            loaded = json.load(request_file)
        arrays = np.load(os.path.join(folder, "inputs.npz"))
        given = {name: arrays[name] for name in arrays.files}
        if loaded.get("attempt"):
            print(attempt(real_caffe, loaded, given, folder), flush=True)
            continue
        np.savez(os.path.join(folder, "out.npz"), **answer(real_caffe, loaded, given))
        print("done", flush=True)
