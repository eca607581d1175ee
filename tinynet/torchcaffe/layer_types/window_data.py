"""WindowData: batches of windows cut out of images (src/caffe/layers/window_data_layer.cpp).

``fg_fraction`` of each batch are windows on objects; the rest are background.  Each is resized to
transform_param's ``crop_size``.  Mirror and mean come from transform_param too, but ``scale`` from
window_data_param.  Images are decoded and resized as OpenCV does it (image_decoding.py).
"""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.prefetching_layer import PrefetchingLayer
from tinynet.torchcaffe.random_numbers import mt19937, random
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading.data_transformer import needs_random, read_mean
from tinynet.torchcaffe.reading.window_batches import WindowBatches


@register("WindowData")
class WindowData(PrefetchingLayer):
    reader: WindowBatches

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param, transform = self.param.window_data_param, self.param.transform_param
        crop = transform.crop_size
        self.require(crop > 0, "transform_param.crop_size must be given and positive")
        self.require(param.batch_size > 0, "batch_size must be given and positive")
        self.require(
            param.crop_mode in ("warp", "square"),
            f"crop_mode must be warp or square; got '{param.crop_mode}'",
        )
        self.require(
            0 <= param.fg_fraction <= 1,
            f"fg_fraction must be between 0 and 1; got {param.fg_fraction:g}",
        )
        self.require(
            2 * param.context_pad < crop,
            f"context_pad must be less than half of crop_size, {crop}; got {param.context_pad}",
        )
        mean = read_mean(transform)
        # seeds the windows' own stream; the draws for the transformer are not used, as in Caffe
        _, words = random.prefetching_layer(
            CONTEXT.stream, needs_random(transform, self.phase), own=1
        )
        prefetch = self.param.data_param.prefetch
        batches = WindowBatches(param, transform, mean, Mt19937(words[0]), prefetch)
        images, foreground, background = batches.counts
        glog.info(f"Number of images: {images}")
        glog.info(f"windows: {foreground} foreground, {background} background")
        self.start_reading(batches, top)

    def state(self) -> dict[str, Any]:
        """The numbers of images and windows, and the random state that chooses the next ones."""
        stream = mt19937.to_json(self.reader.position)
        return {"windows": list(self.reader.counts), "stream": stream}

    def set_state(self, state: dict[str, Any]) -> None:
        counts = list(self.reader.counts)
        self.require(
            state.get("windows") == counts,
            f"the position is one in {state.get('windows')} images, foreground and background "
            f"windows, but there are {counts} here",
        )
        self.reader.seek(mt19937.from_json(state.get("stream")))
