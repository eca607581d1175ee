"""``worker predict``: probabilities of the images that come in on stdin.

Images are raw uint8, N·C·H·W, channels in the order in which the net was trained (BGR).  They
are transformed as Caffe's data transformer does in its TEST phase: (pixel - mean) * scale, then
the crop (``src/caffe/data_transformer.cpp``).
"""

import argparse
import sys

import numpy as np

from tinynet.caffeformat.transform import crop_origins, view_count, views
from tinynet.engine.worker import channel, engine
from tinynet.errors import TinynetError


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker predict")
    engine.add_arguments(parser)
    parser.add_argument("--model", required=True, help="deploy.prototxt")
    parser.add_argument("--weights", required=True, help=".caffemodel")
    parser.add_argument("--shape", required=True, help="of an image: C,H,W")
    parser.add_argument("--count", type=int, required=True, help="images on stdin")
    parser.add_argument("--batch", type=int, default=100, help="views in one forward pass")
    parser.add_argument("--crop", choices=("center", "oversample"), default="center")
    parser.add_argument("--crop-size", type=int, default=0, help="0: the whole image")
    parser.add_argument("--mean", metavar="NPY", help="float32 of shape C or C,H,W")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", required=True, help=".npy of float32 probabilities, N×classes")
    return parser.parse_args(argv)


def main(argv):
    """Predict ``--count`` images from stdin and write their probabilities; return 0."""
    options = parse(argv)
    caffe = engine.load(options)
    net = caffe.Net(options.model, caffe.TEST, weights=options.weights)
    channels, height, width = (int(extent) for extent in options.shape.split(","))
    transform = Transform(options, (channels, height, width))
    _check_input(net, options, transform)
    predict = _predictor(caffe, net, transform, options.crop == "oversample")
    each = view_count(height, width, options.crop_size, options.crop == "oversample")
    batch = max(1, options.batch // each)
    out = None
    for start in range(0, options.count, batch):
        count = min(batch, options.count - start)
        images = _read(sys.stdin.buffer, (count, channels, height, width), start)
        # as caffe.Classifier: the arithmetic mean over an image's views
        p = predict(images).mean(axis=1)
        if out is None:
            out = np.empty((options.count, p.shape[1]), dtype=np.float32)
        out[start : start + count] = p
    if out is None:
        raise TinynetError("there are no images to predict")
    with open(options.out, "wb") as stream:
        np.save(stream, out)
    channel.emit("predicted", images=options.count, views=each)
    return 0


class Transform(object):
    """What turns uint8 images into the net's input: mean, scale, views."""

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
        self._mean = mean.reshape(mean.shape + (1, 1)) if mean.ndim == 1 else mean
        self.input_size = (options.crop_size,) * 2 if options.crop_size else tuple(shape[1:])

    def whole(self, images):
        """Float32 images, less the mean and scaled.

        A mean image is cropped at each view's own offset, so it comes off before the crop.
        """
        values = images.astype(np.float32)
        values -= self._mean
        if self._scale != 1:
            values *= self._scale
        return values

    def __call__(self, images):
        return views(self.whole(images), self._crop_size, self._oversample)

    def origins(self, images):
        """Upper left corners of the crops of an image, before mirroring."""
        height, width = images.shape[2:]
        if self.input_size == (height, width):
            return [(0, 0)]
        return crop_origins(height, width, self._crop_size)


def _predictor(caffe, net, transform, oversample):
    """A function from uint8 images to the net's outputs, of shape images x views x classes."""
    predict_crops = getattr(getattr(caffe, "extensions", None), "predict_crops", None)

    def shared(images):
        assert predict_crops is not None
        return predict_crops(net, transform.whole(images), transform.origins(images), True)

    def plain(images):
        p = forward(net, transform(images))
        return p.reshape(len(images), -1, p.shape[1])

    return shared if oversample and predict_crops else plain


def _check_input(net, options, transform):
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise TinynetError(
            "%s has the inputs %s and the outputs %s; a deploy net has one of each"
            % (options.model, list(net.inputs), list(net.outputs))
        )
    size = tuple(net.blobs[net.inputs[0]].data.shape[2:])
    if size != transform.input_size:
        raise TinynetError(
            "%s takes inputs of %dx%d, but the crops of train_val.prototxt are %dx%d"
            % ((options.model,) + size + transform.input_size)
        )


def forward(net, values):
    """The output of a deploy net (float32, N×classes) for N inputs, however many those are."""
    name = net.inputs[0]
    if net.blobs[name].data.shape != values.shape:
        net.blobs[name].reshape(*values.shape)
        net.reshape()
    net.blobs[name].data[...] = values
    net.forward()
    p = np.array(net.blobs[net.outputs[0]].data, dtype=np.float32)
    return p.reshape(len(values), -1)


def _read(stream, shape, start):
    """Read a batch of images; the stream may end early only because the parent has gone."""
    size = int(np.prod(shape))
    data = stream.read(size)
    if len(data) != size:
        raise TinynetError(
            "the images ended early, in the batch that begins with number %d" % start
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
