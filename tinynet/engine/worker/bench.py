"""``worker bench``: does one kind of work in rounds, as its parent asks, and times each round.

The work is prepared and warmed up, then ``ready`` is emitted.  Each line on stdin is the size of a
round; each round ends with an event ``round`` with ``items`` (images) and ``seconds``.

For ``host-train`` and ``host-evaluate`` an item is an iteration, ``seconds`` is CPU time of the
host, ``calls`` is how many torch functions an iteration calls, and ``calls_seconds`` is the time of
these calls alone, for as many iterations.
"""

import argparse
import os
import sys
import time

import numpy as np

from tinynet.caffeformat.transform import crop_origins, views
from tinynet.engine.worker import channel, engine, together
from tinynet.engine.worker.predict import forward
from tinynet.errors import TinynetError

_IMAGES = 20  # per unit of a prediction round: a few batches


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker bench")
    engine.add_arguments(parser)
    together.add_arguments(parser)
    parser.add_argument("work", choices=sorted([*WORKS, *HOST_WORKS]))
    parser.add_argument("--solver", help="prototxt, for train")
    parser.add_argument("--model", help="prototxt of a deploy net, or of a Data layer for reader")
    parser.add_argument("--scratch", help="folder for a .caffemodel")
    parser.add_argument("--warm-up", type=int, default=2, help="iterations, for train and host-...")
    return parser.parse_args(argv)


def main(argv):
    """Work until stdin ends; return 0."""
    options = parse(argv)
    together.take_part(options)
    caffe = engine.load(options)
    if options.work in HOST_WORKS:
        return _host_rounds(HOST_WORKS[options.work], caffe, options)
    work = WORKS[options.work](caffe, options)
    work(options.warm_up)
    channel.emit("ready", note=getattr(work, "note", lambda: "")())
    for line in iter(sys.stdin.readline, ""):
        start = time.time()
        items = work(int(line))
        channel.emit("round", items=items, seconds=time.time() - start)
    return 0


def _host_rounds(prepare, caffe, options):
    """Time the host's part of an iteration; the device computes nothing."""
    extensions = getattr(caffe, "extensions", None)
    if extensions is None:
        raise TinynetError("this engine cannot leave out what the device computes")
    extensions.without_kernels()
    host = extensions.host_time(prepare(caffe, options), options.warm_up)
    channel.emit("ready")
    for line in iter(sys.stdin.readline, ""):
        count = int(line)
        seconds = host.seconds(count) * count
        alone = host.seconds_of_calls(count) * count
        channel.emit("round", items=count, seconds=seconds, calls=host.calls, calls_seconds=alone)
    return 0


def host_train(caffe, options):
    solver = caffe.get_solver(options.solver)
    return lambda: solver.step(1)


def host_evaluate(caffe, options):
    """A pass of the TEST net, as the solver makes it."""
    solver = caffe.get_solver(options.solver)
    net = solver.test_nets[0]
    solver.share_weights(net)
    return lambda: solver.test_pass(net)


def train(caffe, options):
    solver = caffe.get_solver(options.solver)
    together.Together(caffe, solver, options, channel.Control())
    blobs = solver.net.blobs

    def iterate(count):
        solver.step(count)
        # reading the loss waits for the work on a GPU
        loss = float(blobs["loss"].data)
        if loss != loss:
            raise TinynetError("the training diverged while it was measured")
        return count * len(blobs["label"].data)

    extensions = getattr(caffe, "extensions", None)
    if extensions is not None and options.gpu is not None:
        iterate.note = lambda: extensions.how_repeated(solver)  # type: ignore[attr-defined]
    return iterate


def reader(caffe, options):
    net = caffe.Net(options.model, caffe.TRAIN)

    def read(count):
        for _ in range(count):
            # not forward(), which also copies every output for the script; training does not
            net._forward(0, 0)
        return count * len(net.blobs["label"].data)

    read(8)  # use up what was prefetched
    return read


def _net(caffe, options):
    """A deploy net with random weights, and the file that holds them."""
    net = caffe.Net(options.model, caffe.TEST)
    generator = np.random.RandomState(1)
    for blobs in net.params.values():
        for blob in blobs:
            inputs = np.prod(blob.data.shape[1:])
            blob.data[...] = generator.normal(0, (2.0 / inputs) ** 0.5, blob.data.shape)
    weights = os.path.join(options.scratch, "weights-%d.caffemodel" % os.getpid())
    net.save(weights)
    return net, weights


def _images():
    return np.random.RandomState(2).randint(0, 256, (_IMAGES, 3, 64, 64)).astype(np.float32)


def classifier(caffe, options):
    """As a user of pycaffe predicts: ``Classifier.predict(images, oversample=True)``."""
    weights = _net(caffe, options)[1]
    net = caffe.Classifier(
        options.model, weights, image_dims=(64, 64), raw_scale=255, channel_swap=(2, 1, 0)
    )
    images = list(_images().transpose(0, 2, 3, 1)[..., ::-1] / 255)

    def predict(count):
        for _ in range(count):
            net.predict(images, oversample=True)
        return count * _IMAGES

    return predict


def _on_views(oversample):
    def prepare(caffe, options):
        net = _net(caffe, options)[0]
        size = net.blobs[net.inputs[0]].data.shape[2]
        images = _images()

        def predict(count):
            for _ in range(count):
                for start in range(0, _IMAGES, 10):
                    forward(net, views(images[start : start + 10], size, oversample))
            return count * _IMAGES

        return predict

    return prepare


def shared(caffe, options):
    view_predictor = getattr(getattr(caffe, "extensions", None), "view_predictor", None)
    if view_predictor is None:
        raise TinynetError("this engine has no crops with shared computation")
    net = _net(caffe, options)[0]
    images = _images()
    origins = crop_origins(64, 64, net.blobs[net.inputs[0]].data.shape[2])
    predict_views = view_predictor(net, origins, True)

    def predict(count):
        for _ in range(count):
            for start in range(0, _IMAGES, 10):  # as `tinynet evaluate` does by default
                predict_views(images[start : start + 10])
        return count * _IMAGES

    return predict


HOST_WORKS = {"host-train": host_train, "host-evaluate": host_evaluate}
WORKS = {
    "train": train,
    "reader": reader,
    "classifier": classifier,
    "one-crop": _on_views(False),
    "plain-crops": _on_views(True),
    "shared-crops": shared,
}
