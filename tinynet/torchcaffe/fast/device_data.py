"""A Data layer on a GPU that stores its images and cuts them there (device_images.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tinynet.torchcaffe.acceleration import stands_in_for
from tinynet.torchcaffe.fast import graphs
from tinynet.torchcaffe.fast.device_images import DeviceImages, Plan
from tinynet.torchcaffe.layer_types.data import Data
from tinynet.torchcaffe.reading.data_reader import DataReader, Position
from tinynet.torchcaffe.reading.data_transformer import DataTransformer
from tinynet.torchcaffe.reading.reader import Batch

_NOTHING = np.empty(0, np.float32)


class PlannedBatch(Batch[Position]):
    """A batch that ``plan`` says how to cut on the device; its arrays are empty."""

    __slots__ = ("plan",)

    def __init__(self, plan: Plan, after: Position) -> None:
        super().__init__(_NOTHING, _NOTHING, after)
        self.plan = plan


class StaticBatch(Batch[Position]):
    """A batch to be cut by a plan's ``values``, which lie on the device and do not move."""

    __slots__ = ("values",)

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__(_NOTHING, _NOTHING, Position(0, None))
        self.values = values


class PlanReader(DataReader):
    """A DataReader whose batches are plans once ``images``, which carries them out, is set."""

    images: DeviceImages | None = None

    def load(self) -> Batch[Position]:
        device, walk = self.images, self.walk
        if device is None:
            return super().load()
        records = walk.upcoming(self.batch_size)
        if device.has(records):
            walk.skip(self.batch_size)
            return self._planned(device, records, device.labels[records], None)
        images, labels = self.read()
        if device.accepts(images):
            return self._planned(device, records, labels, device.stage(images))
        data = self.transformer.transform(images)
        return Batch(data, labels.astype(np.float32), self.behind(records))

    def _planned(
        self,
        device: DeviceImages,
        records: np.ndarray,
        labels: np.ndarray,
        staged: torch.Tensor | None,
    ) -> Batch[Position]:
        windows = self.transformer.draw([device.shape] * len(records))
        return PlannedBatch(Plan(records, windows, labels, staged), self.behind(records))


@stands_in_for(Data)
class DeviceData(Data):
    reader_type = PlanReader

    def open_reader(self, transformer: DataTransformer) -> DataReader:
        reader = super().open_reader(transformer)
        assert isinstance(reader, PlanReader)
        if self.device.type in graphs.BY_DEVICE and reader.image_type == np.uint8:
            shape, records = reader.image_shape, reader.records
            reader.images = DeviceImages(transformer, shape, records, self.device)
        self._images = reader.images
        self._ahead: list[Batch[Position]] = []
        self._static: list[StaticBatch] = []
        return reader

    # --- batches that are taken before the forward pass needs them (recorded_passes.py)

    @property
    def holds_all_images(self) -> bool:
        """Whether the device has room for all images, and keeps them."""
        return self._images is not None and self._images.holds_all

    def take_ahead(self, count: int) -> bool:
        """Take the batches of the next ``count`` forwards; return whether none brings images."""
        while len(self._ahead) < count:
            self._ahead.append(self.reader.next_batch())
        return all(
            isinstance(batch, PlannedBatch) and batch.plan.images is None for batch in self._ahead
        )

    def plans_ahead(self) -> list[np.ndarray]:
        """The values of the plans that were taken ahead."""
        return [b.plan.values for b in self._ahead if isinstance(b, PlannedBatch)]

    def buffers_ahead(self) -> list[torch.Tensor]:
        """Uninitialized memory on the device for these values."""
        plans = (torch.from_numpy(values) for values in self.plans_ahead())
        return [torch.empty_like(plan, device=self.device) for plan in plans]

    def forget_ahead(self) -> None:
        self._ahead.clear()

    def use_values(self, values: list[torch.Tensor]) -> None:
        """Cut the batches of the next forwards by these values; what was taken ahead stays."""
        self._static = [StaticBatch(each) for each in values]

    def set_state(self, state: dict[str, Any]) -> None:
        self._ahead.clear()
        super().set_state(state)

    def next_batch(self) -> Batch[Position]:
        if self._static:
            return self._static.pop(0)
        return self._ahead.pop(0) if self._ahead else super().next_batch()

    def upload_batch(self, batch: Batch[Position]) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(batch, StaticBatch) and self._images is not None:
            return self._images.cut(batch.values)
        if isinstance(batch, PlannedBatch) and self._images is not None:
            return self._images.batch(batch.plan)
        return super().upload_batch(batch)
