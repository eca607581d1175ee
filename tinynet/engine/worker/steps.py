"""``worker steps``: steps a solver and reports everything in which two engines can differ.

After every iteration it emits an ``iteration`` event with the loss and a checksum of the data
layers' outputs; at the end it writes an .npz of every parameter before the first and after the last
update.
"""

import argparse
import zlib

import numpy as np

from tinynet.engine.worker import arrays, channel, engine
from tinynet.errors import TinynetError


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker steps")
    parser.add_argument("solver", help="prototxt, as pycaffe's get_solver takes it")
    engine.add_arguments(parser)
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--iter-size", type=int, default=1, help="the solver's")
    parser.add_argument("--restore", metavar="SOLVERSTATE")
    parser.add_argument("--weights", metavar="CAFFEMODEL")
    parser.add_argument("--nudge", type=float, default=0.0, help="added to the first weight")
    parser.add_argument("--out", required=True, help=".npz of the parameters")
    return parser.parse_args(argv)


def main(argv):
    """Make ``--iterations`` updates and write the parameters; return 0."""
    options = parse(argv)
    control = channel.Control()
    caffe = engine.load(options)
    solver = caffe.get_solver(options.solver)
    if options.weights:
        solver.net.copy_from(options.weights)
    if options.restore:
        solver.restore(options.restore)
    if options.nudge:
        name = nudge(solver.net, options.nudge)
        channel.emit("nudged", parameter=name)
    passes = Passes(solver.net, options.iter_size)
    found = parameters(solver.net, "start")
    channel.emit("solving", iteration=solver.iter)
    for _ in range(options.iterations):
        control.poll()
        iteration = solver.iter
        solver.step(1)
        loss, inputs = passes.take()
        channel.emit("iteration", iteration=iteration, loss=loss, inputs=inputs)
    found.update(parameters(solver.net, "end"))
    with arrays.output_file(options.out) as stream:
        np.savez(stream, **found)
    channel.emit("done", iteration=solver.iter)
    return 0


def parameters(net, prefix):
    """Copies of all parameters as they are now, by ``PREFIX/LAYER/INDEX``."""
    return {
        "%s/%s/%d" % (prefix, name, index): np.array(blob.data, dtype=np.float32)
        for name, blobs in net.params.items()
        for index, blob in enumerate(blobs)
    }


def nudge(net, amount):
    """Add ``amount`` to the first value of the first parameter; return the parameter's name."""
    for name, blobs in net.params.items():
        for index, blob in enumerate(blobs):
            flat = blob.data.reshape(-1)
            before = float(flat[0])
            flat[0] += amount
            if float(flat[0]) == before:
                raise TinynetError(
                    "a nudge of %g is lost in the rounding of %s[%d], which is %g"
                    % (amount, name, index, before)
                )
            return "%s[%d]" % (name, index)
    raise TinynetError("the net has no parameters, so there is nothing to nudge")


class Passes(object):
    """Collects the losses and inputs of the forward passes of an iteration.

    A solver shows only its last pass.  If an iteration makes several (``iter_size``), this gets a
    callback at the end of each; otherwise it reads the blobs after the step.
    """

    def __init__(self, net, iter_size):
        self._net = net
        self._listens = iter_size > 1
        self._losses = []  # type: list
        self._checksum = 0
        self._weights = {name: w for name, w in net.blob_loss_weights.items() if w}
        self._inputs = [
            top
            for name, bottoms in net.bottom_names.items()
            if not bottoms
            for top in net.top_names[name]
        ]
        if self._listens:
            if not hasattr(net, "after_forward"):
                raise TinynetError("this Caffe has no Net.after_forward, which iter_size needs")
            last = len(net.layers) - 1
            net.after_forward(lambda layer: self._note() if layer == last else None)

    def _note(self):
        blobs = self._net.blobs
        self._losses.append(
            sum(
                weight * float(np.sum(blobs[name].data, dtype=np.float64))
                for name, weight in self._weights.items()
            )
        )
        for name in self._inputs:
            self._checksum = zlib.crc32(blobs[name].data.tobytes(), self._checksum)

    def take(self):
        """(mean loss, checksum of the inputs) of the passes since the last call."""
        if not self._listens:
            self._note()
        loss = sum(self._losses) / len(self._losses)
        checksum = self._checksum & 0xFFFFFFFF
        self._losses, self._checksum = [], 0
        return loss, checksum
