"""``worker activations``: what one blob of a net holds for one image that comes in on stdin.

The image is raw uint8, C·H·W, channels in the order in which the net was trained (BGR); it goes
through the same transform as in ``predict``.
"""

import argparse
import sys

import numpy as np

from tinynet.engine.worker import channel, engine
from tinynet.engine.worker.predict import Transform
from tinynet.errors import TinynetError


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker activations")
    engine.add_arguments(parser)
    parser.add_argument("--model", required=True, help="deploy.prototxt")
    parser.add_argument("--weights", required=True, help=".caffemodel")
    parser.add_argument("--shape", required=True, help="of the image: C,H,W")
    parser.add_argument("--crop-size", type=int, default=0, help="0: the whole image")
    parser.add_argument("--mean", metavar="NPY", help="float32 of shape C or C,H,W")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--blob", required=True, help="name of the blob")
    parser.add_argument("--out", required=True, help=".npy of float32, the blob without its batch")
    return parser.parse_args(argv)


def main(argv):
    """Feed the image forward, write the blob as it stands after the whole pass; return 0."""
    options = parse(argv)
    options.crop = "center"
    caffe = engine.load(options)
    net = caffe.Net(options.model, caffe.TEST, weights=options.weights)
    if options.blob not in net.blobs:
        raise TinynetError(
            "%s has no blob '%s'; it has %s"
            % (options.model, options.blob, ", ".join(sorted(net.blobs)))
        )
    shape = tuple(int(extent) for extent in options.shape.split(","))
    image = np.frombuffer(sys.stdin.buffer.read(), dtype=np.uint8)
    if image.size != int(np.prod(shape)):
        raise TinynetError("the image has %d values, not %s" % (image.size, options.shape))
    inputs = Transform(options, shape)(image.reshape((1,) + shape))
    blob = net.blobs[net.inputs[0]]
    if tuple(blob.data.shape[1:]) != inputs.shape[1:]:
        raise TinynetError(
            "%s takes inputs of %s, but the crop of train_val.prototxt is %s"
            % (options.model, tuple(blob.data.shape[1:]), inputs.shape[1:])
        )
    blob.reshape(*inputs.shape)
    net.reshape()
    blob.data[...] = inputs
    net.forward()
    values = np.array(net.blobs[options.blob].data, dtype=np.float32)
    with open(options.out, "wb") as stream:
        np.save(stream, values[0])
    channel.emit("activations", blob=options.blob)
    return 0
