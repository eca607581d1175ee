"""Layers that find out in forward how much there is, as those of a detector do."""

import caffe
import numpy as np


class Images(caffe.Layer):
    """One image of its own size at a time, and its boxes; the tops get their shapes in forward."""

    def setup(self, bottom, top):
        self.names = {"data": 0, "boxes": 1}
        top[0].reshape(1, 3, 20, 24)
        top[1].reshape(1, 4)
        self.draw = np.random.RandomState(8)

    def set_sizes(self, sizes):
        self.sizes, self.next = sizes, 0

    def reshape(self, bottom, top):
        """Happens in forward."""

    def forward(self, bottom, top):
        height, width = self.sizes[self.next % len(self.sizes)]
        self.next += 1
        count = 1 + self.next % 3
        blobs = {
            "data": self.draw.uniform(-1, 1, (1, 3, height, width)),
            "boxes": self.draw.randint(0, 8, (count, 4)),
        }
        for name, blob in blobs.items():
            index = self.names[name]
            top[index].reshape(*blob.shape)
            top[index].data[...] = blob.astype(np.float32, copy=False)

    def backward(self, top, propagate_down, bottom):
        pass


class Proposals(caffe.Layer):
    """As many rows as places where the score is high, with a label and a target each."""

    def setup(self, bottom, top):
        top[0].reshape(1, 5)
        top[1].reshape(1, 1)
        top[2].reshape(1, 4)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        scores, boxes = bottom[0].data[0, 0], bottom[1].data
        y, x = np.where(scores >= np.median(scores))
        rows = np.stack([0 * x, x, y, x + 2, y + 3], axis=1)
        top[0].reshape(*(rows.shape))
        top[0].data[...] = rows
        top[1].reshape(len(rows))
        top[1].data[...] = (x + len(boxes)) % 3
        top[2].reshape(len(rows), 4)
        top[2].data[...] = rows[:, 1:] - boxes.mean(axis=0)

    def backward(self, top, propagate_down, bottom):
        pass


class LogisticLoss(caffe.Layer):
    """Its gradient waits in the bottom's diff for backward."""

    def setup(self, bottom, top):
        self.scale = eval(self.param_str)["scale"]

    def reshape(self, bottom, top):
        top[0].reshape()

    def forward(self, bottom, top):
        score, diff, label = bottom[0].data, bottom[0].diff, bottom[1].data.reshape(-1, 1) > 0
        top[0].data[...] = self.scale * np.mean(np.log1p(np.exp(-np.abs(score))))
        top[0].data[...] += self.scale * np.mean((score > 0) * score - label * score)
        diff[...] = self.scale * (1 / (1 + np.exp(-score)) - label) / score.size

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] *= top[0].diff
