"""A Data layer's images on a GPU: stored there once as bytes, and cut, mirrored and scaled there.

When the layer is set up, it decides where the images are stored: in the device's memory if all of
them take at most a quarter of what is free there; otherwise each batch is uploaded as it is needed.
The set moves to the device as the first epoch reads it.  From then on an iteration uploads only its
*plan*: which records, where each is cut, and which are mirrored.  The plan is drawn on the host,
from the transformer's stream, so that the batches equal the CPU's to the bit.

Nothing here waits for the device.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from tinynet.caffeformat.transform import subtract_and_scale
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.fast.memory_order import preferred
from tinynet.torchcaffe.reading.data_transformer import DataTransformer, Windows
from tinynet.torchcaffe.reading.upload import upload

_SHARE = 4  # a set of images may take 1/4 of the free memory


def fits(size: int, device: torch.device) -> bool:
    """Whether a set of images of ``size`` bytes should be stored on ``device``."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size * _SHARE <= free


class Plan:
    """A batch to be cut on the device.

    ``values``: int64 (5, N): record, mirror, row, column and label of every image.
    ``images``: their pixels, uint8 N×C×H×W in page-locked memory, or None if the device has them.
    """

    __slots__ = ("images", "values")

    def __init__(
        self,
        records: np.ndarray,
        windows: Windows,
        labels: np.ndarray,
        images: torch.Tensor | None,
    ) -> None:
        self.values = np.stack([records, *windows, labels]).astype(np.int64)
        self.images = images


class DeviceImages:
    """The images of one Data layer on a device; all are uint8 and of one shape."""

    def __init__(
        self,
        transformer: DataTransformer,
        shape: tuple[int, ...],
        records: int,
        device: torch.device,
    ) -> None:
        """``shape``: C×H×W of a stored image; ``records``: the number of records."""
        self.shape = shape
        self._device = device
        channels, height, width = transformer.output_shape(shape)
        # the order of a batch in memory: N×h×w×C or N×C×h×w
        order = preferred(device, CONTEXT.precision == "float32")
        self._channels_last = order == torch.channels_last
        axes = {"C": (-1,), "h": (-1, 1, 1), "w": (-1, 1)}
        if not self._channels_last:
            axes = {"C": (-1, 1, 1), "h": (-1, 1), "w": (-1,)}
        self._channels = torch.arange(channels, device=device).reshape(axes["C"])
        self._down = torch.arange(height, device=device).reshape(axes["h"])
        self._across = torch.arange(width, device=device).reshape(axes["w"])
        self._mirrored = torch.arange(width - 1, -1, -1, device=device).reshape(axes["w"])
        self._mean_image = None if transformer.mean is None else upload(transformer.mean, device)
        values = transformer.mean_values
        self._mean_values = upload(values, device).reshape(axes["C"]) if len(values) else None
        self._scale = float(transformer.scale)
        self._one_window: tuple[slice, slice] | None = None
        if not (transformer.mirror or transformer.random_crop):  # nothing is drawn
            _, (row,), (column,) = transformer.draw([shape])
            self._one_window = slice(row, row + height), slice(column, column + width)
            if self._mean_image is not None:
                self._mean_image = self._seen(self._mean_image).contiguous()
        self._all: torch.Tensor | None = None
        size = records * int(np.prod(shape))
        if fits(size, device):
            # another program may have taken the memory since ``fits`` looked
            with contextlib.suppress(torch.cuda.OutOfMemoryError):
                self._all = torch.empty((records, *shape), dtype=torch.uint8, device=device)
                self._all_seen = self._seen(self._all)
        place = "stay on" if self._all is not None else "are too many for"
        glog.info(f"Images {place} {device}: {size / 1e6:,.0f} MB")
        self.labels = np.zeros(records, np.int64)  # of the records that are stored
        self._stored = np.zeros(records, bool)

    @property
    def holds_all(self) -> bool:
        """Whether there is room for all images on the device."""
        return self._all is not None

    def has(self, records: np.ndarray) -> bool:
        """Whether all of these records are stored, so that their plan needs no images."""
        return bool(self._stored[records].all())

    def accepts(self, images: list[np.ndarray]) -> bool:
        """Whether these images are uint8 and of the shape that this set has."""
        return all(image.dtype == np.uint8 and image.shape == self.shape for image in images)

    def stage(self, images: list[np.ndarray]) -> torch.Tensor:
        """Copy the images of a batch into one tensor that the device can copy without a wait."""
        staged = torch.empty(
            (len(images), *self.shape), dtype=torch.uint8, pin_memory=self._device.type == "cuda"
        )
        for row, image in zip(staged.numpy(), images):
            row[...] = image
        return staged

    def batch(self, plan: Plan) -> tuple[torch.Tensor, torch.Tensor]:
        """Make a plan's batch on the device: data float32 N×C×h×w, labels float32 (N,)."""
        values = upload(plan.values, self._device)
        if plan.images is None:
            return self.cut(values)
        uploaded = plan.images.to(self._device, non_blocking=True)
        if self._all is None:
            places = values.clone()
            places[0] = torch.arange(len(uploaded), device=self._device)
            return self._cut(uploaded, places)
        self._all.index_copy_(0, values[0], uploaded)
        self.labels[plan.values[0]] = plan.values[4]
        self._stored[plan.values[0]] = True
        return self.cut(values)

    def cut(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What ``batch`` returns for a plan's ``values`` on a device that has all its images."""
        assert self._all is not None
        return self._cut(self._all, values)

    def _cut(self, images: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Do what ``DataTransformer.transform`` does, for the windows in ``values``."""
        mean = self._mean_values if self._mean_image is None else self._mean_image
        if self._one_window:
            records, _, _, _, labels = values.unbind()
            seen = self._all_seen if images is self._all else self._seen(images)
            data = seen.index_select(0, records)
        else:
            records, mirrors, rows, columns, labels = values.reshape(5, -1, 1, 1, 1).unbind()
            across = torch.where(mirrors != 0, self._mirrored, self._across)
            place = records, self._channels, rows + self._down, columns + across
            data = images[place]
            if self._mean_image is not None:
                mean = self._mean_image[place[1:]]
            labels = labels.reshape(-1)
        data = subtract_and_scale(data.to(torch.float32), mean, self._scale)
        return (data.permute(0, 3, 1, 2) if self._channels_last else data), labels.to(torch.float32)

    def _seen(self, images: torch.Tensor) -> torch.Tensor:
        """``images`` in a batch's memory order, cut to the one window if all have the same."""
        if self._one_window:
            rows, columns = self._one_window
            images = images[..., rows, columns]
        return images.movedim(-3, -1) if self._channels_last else images
