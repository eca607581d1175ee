"""ImageData: batches from the image files of a list (src/caffe/layers/image_data_layer.cpp).

Images are decoded and resized as OpenCV does it (image_decoding.py).  Between the transformer's two
seeds, set-up draws from the main stream one seed for ``shuffle`` and one number for ``rand_skip``,
each only if it is set.
"""

from __future__ import annotations

from typing import Any

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.prefetching_layer import PrefetchingLayer
from tinynet.torchcaffe.random_numbers import mt19937, random
from tinynet.torchcaffe.reading.data_transformer import DataTransformer, needs_random, read_mean
from tinynet.torchcaffe.reading.image_list import ImageList, Position


@register("ImageData")
class ImageData(PrefetchingLayer):
    reader: ImageList

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param, transform = self.param.image_data_param, self.param.transform_param
        self.require(
            (param.new_height > 0) == (param.new_width > 0),
            "give both new_height and new_width, or neither; got "
            f"{param.new_height} and {param.new_width}",
        )
        self.require(param.batch_size > 0, "batch_size must be positive; got 0")
        mean = read_mean(transform)
        own = int(param.shuffle) + int(param.rand_skip > 0)
        needed = needs_random(transform, self.phase)
        stream, words = random.prefetching_layer(CONTEXT.stream, needed, own)
        skip = words[-1] % param.rand_skip if param.rand_skip else 0
        transformer = DataTransformer(transform, self.phase, mean, stream)
        glog.info(f"Opening file {param.source}")
        seed, prefetch = words[0] if param.shuffle else None, self.param.data_param.prefetch
        images = ImageList(param, transformer, seed, skip, prefetch)
        if self.phase == schema.TRAIN and not CONTEXT.root_solver and not own:
            # as in Caffe, every rank reads the same images
            glog.warning("Shuffling or skipping recommended for multi-GPU")
        glog.info(f"A total of {len(images)} images.")
        self.start_reading(images, top)

    def state(self) -> dict[str, Any]:
        """The number of images, the next one's line, and the states that decide order and crop."""
        line, seed, rounds, stream = self.reader.position
        found: dict[str, Any] = {"images": len(self.reader), "line": line}
        if seed is not None:
            found.update(seed=seed, rounds=rounds)
        if stream is not None:
            found["stream"] = mt19937.to_json(stream)
        return found

    def set_state(self, state: dict[str, Any]) -> None:
        images, line, now = len(self.reader), state.get("line"), self.reader.position
        self.require(
            state.get("images") == images and isinstance(line, int) and 0 <= line < images,
            f"the position is one in {state.get('images')} images, but there are {images} here",
        )
        seed, rounds = state.get("seed"), state.get("rounds", 0)
        self.require(
            (seed is None) == (now.seed is None)
            and ("stream" in state) == (now.stream is not None),
            "the position is that of a layer with another shuffle, mirror or crop",
        )
        self.require(
            all(isinstance(number, int) and number >= 0 for number in (seed or 0, rounds)),
            "the position's seed and rounds must be whole numbers",
        )
        stream = mt19937.from_json(state["stream"]) if "stream" in state else None
        assert isinstance(line, int)
        self.reader.seek(Position(line, seed, rounds, stream))
