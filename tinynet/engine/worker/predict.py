"""``worker predict``: runs a net on images of an LMDB or from stdin.

Its result is the images' probabilities, or with ``--blob`` the contents of that blob for each.

Images are raw uint8, N·C·H·W, channels in the order in which the net was trained (BGR).  They
are transformed as Caffe's data transformer does in the TEST phase: (pixel - mean) * scale, then the
crop (``src/caffe/data_transformer.cpp``).
"""

import argparse
import time

import numpy as np

from tinynet.caffeformat.transform import (
    crop_origins,
    over_pixels,
    subtract_and_scale,
    view_count,
    views,
)
from tinynet.engine.worker import arrays, channel, engine, images
from tinynet.errors import TinynetError

_EVENT_SECONDS = 0.2  # least time between two events of progress


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker predict")
    engine.add_arguments(parser)
    parser.add_argument("--model", required=True, help="deploy.prototxt")
    parser.add_argument("--weights", required=True, help=".caffemodel")
    parser.add_argument("--shape", required=True, help="of an image: C,H,W")
    parser.add_argument("--count", type=int, required=True, help="images to predict")
    parser.add_argument("--source", metavar="LMDB", help="that has them; default: stdin")
    parser.add_argument("--classes", type=int, help="of the LMDB's labels; default: it has none")
    parser.add_argument("--chosen", metavar="NPY", help="records of the LMDB; default: all")
    parser.add_argument("--labels-out", metavar="NPY", help="where the LMDB's labels go")
    parser.add_argument("--batch", type=int, default=100, help="views in one forward pass")
    parser.add_argument("--crop", choices=("center", "oversample"), default="center")
    parser.add_argument("--crop-size", type=int, default=0, help="0: the whole image")
    parser.add_argument("--mean", metavar="NPY", help="float32 of shape C or C,H,W")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--blob", metavar="NAME", help="to write instead of the net's output")
    parser.add_argument("--out", required=True, help=".npy of float32: N×classes, or N×the blob's")
    return parser.parse_args(argv)


def main(argv):
    """Run the net on ``--count`` images and write the results; return 0."""
    options = parse(argv)
    caffe = engine.load(options)
    net = caffe.Net(options.model, caffe.TEST, weights=options.weights)
    channels, height, width = (int(extent) for extent in options.shape.split(","))
    transform = Transform(options, (channels, height, width))
    _check_input(net, options, transform)
    predict = _predictor(caffe, net, transform, options.blob)
    each = view_count(height, width, options.crop_size, options.crop == "oversample")
    batch = max(1, options.batch // each)
    source = _open(caffe, options, (channels, height, width), batch)
    out, start, reported = None, 0, time.time()
    for pixels in source:
        # like caffe.Classifier: the arithmetic mean over an image's views
        p = predict(pixels).mean(axis=1)
        if out is None:
            out = np.empty((options.count,) + p.shape[1:], dtype=np.float32)
        out[start : start + len(pixels)] = p
        start += len(pixels)
        if time.time() - reported > _EVENT_SECONDS:
            channel.emit("progress", images=start)
            reported = time.time()
    if out is None:
        raise TinynetError("there are no images to predict")
    if options.labels_out:
        arrays.save(options.labels_out, source.labels)
    arrays.save(options.out, out)
    channel.emit("progress", images=start)
    channel.emit("predicted", images=start, views=each)
    return 0


def _open(caffe, options, shape, batch):
    if options.source is None:
        return images.from_stdin(shape, options.count, batch)
    chosen = None if options.chosen is None else np.load(options.chosen, allow_pickle=False)
    return images.FromLmdb(
        caffe.extensions.read_images,
        options.source,
        shape,
        options.count,
        batch,
        options.classes,
        chosen,
    )


class Transform(object):
    """Turns uint8 images into the net's input: mean, scale, views."""

    def __init__(self, options, shape):
        self._crop_size = options.crop_size
        self._oversample = options.crop == "oversample"
        self._scale = np.float32(options.scale)
        mean = np.zeros(shape[0], np.float32)
        if options.mean:
            mean = np.load(options.mean, allow_pickle=False).astype(np.float32)
        if mean.shape not in ((shape[0],), tuple(shape)):
            raise TinynetError(
                "the mean has the shape %s, the images %s" % (mean.shape, tuple(shape))
            )
        self._mean = over_pixels(mean)
        self.input_size = (options.crop_size,) * 2 if options.crop_size else tuple(shape[1:])
        origins = [(0, 0)]
        if self.input_size != tuple(shape[1:]):
            origins = crop_origins(shape[1], shape[2], options.crop_size)
        self._origins = origins if options.crop == "oversample" else origins[-1:]

    def as_arguments(self):
        """The transform as arguments of an engine's ``view_predictor``."""
        return {
            "origins": self._origins,
            "mirror": self._oversample,
            "mean": self._mean,
            "scale": float(self._scale),
        }

    def __call__(self, pixels):
        """Float32 views of uint8 images: mean subtracted, scaled, then cropped and mirrored.

        A mean image is cropped at each view's own offset, so it is subtracted before the crop.
        """
        values = subtract_and_scale(pixels.astype(np.float32), self._mean, self._scale)
        return views(values, self._crop_size, self._oversample)


def _predictor(caffe, net, transform, blob):
    """Return a function from uint8 images to the net's outputs, images x views x classes.

    If a ``blob`` is named, it returns that blob's contents instead: images x views x its shape.
    """
    view_predictor = getattr(getattr(caffe, "extensions", None), "view_predictor", None)
    if view_predictor is not None and blob is None:
        return view_predictor(net, **transform.as_arguments())

    def plain(pixels):
        p = forward(net, transform(pixels))
        if blob is not None:
            p = np.array(net.blobs[blob].data, dtype=np.float32)
        return p.reshape((len(pixels), -1) + p.shape[1:])

    return plain


def _check_input(net, options, transform):
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise TinynetError(
            "%s has the inputs %s and the outputs %s; a deploy net has one of each"
            % (options.model, list(net.inputs), list(net.outputs))
        )
    if options.blob is not None and options.blob not in net.blobs:
        raise TinynetError(
            "%s has no blob '%s'; it has %s"
            % (options.model, options.blob, ", ".join(sorted(net.blobs)))
        )
    size = tuple(net.blobs[net.inputs[0]].data.shape[2:])
    if size != transform.input_size:
        raise TinynetError(
            "%s takes inputs of %dx%d, but the crops of train_val.prototxt are %dx%d"
            % ((options.model,) + size + transform.input_size)
        )


def forward(net, values):
    """Run a deploy net on N inputs, for any N; return its output (float32, N×classes)."""
    name = net.inputs[0]
    if net.blobs[name].data.shape != values.shape:
        net.blobs[name].reshape(*values.shape)
        net.reshape()
    net.blobs[name].data[...] = values
    net.forward()
    p = np.array(net.blobs[net.outputs[0]].data, dtype=np.float32)
    return p.reshape(len(values), -1)
