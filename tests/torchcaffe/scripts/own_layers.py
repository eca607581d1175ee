"""Layers of a user, as in Caffe's examples/pycaffe/layers."""

import caffe
import numpy as np


class Numbers(caffe.Layer):
    def setup(self, bottom, top):
        params = eval(self.param_str)
        self.batch = params["batch"]
        self.draw = np.random.RandomState(params["seed"])
        self.offset = 0.0
        # a user may use names that this engine's own layers also use
        self.name, self.loss, self.param, self.require = "numbers", 1, 2, 3
        if len(bottom) != 0:
            raise Exception("takes no bottom")

    def shift(self, offset):
        self.offset = offset

    def reshape(self, bottom, top):
        top[0].reshape(self.batch, 4)
        top[1].reshape(self.batch, 2)

    def forward(self, bottom, top):
        top[0].data[...] = self.draw.randn(self.batch, 4)
        top[1].data[...] = 2 * top[0].data[:, :2] - top[0].data[:, 2:] + self.offset

    def backward(self, top, propagate_down, bottom):
        pass


class Gain(caffe.Layer):
    def setup(self, bottom, top):
        self.blobs.add_blob(2)
        self.blobs[0].data[...] = [0.5, 1.5]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data


class Euclidean(caffe.Layer):
    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.diff = np.zeros_like(bottom[0].data, dtype=np.float32)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.diff[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.diff**2) / bottom[0].num / 2.0

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if not propagate_down[i]:
                continue
            sign = 1 if i == 0 else -1
            bottom[i].diff[...] = top[0].diff[0] * sign * self.diff / bottom[i].num
