"""A Data layer on a GPU that stores its images and cuts them there (device_images.py)."""

from __future__ import annotations

import numpy as np
import torch

from tinynet.torchcaffe.acceleration import stands_in_for
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.fast.device_images import DeviceImages, Plan
from tinynet.torchcaffe.layer_types.data import Data
from tinynet.torchcaffe.reading.data_reader import Batch, DataReader, Position
from tinynet.torchcaffe.reading.data_transformer import DataTransformer

_NOTHING = np.empty(0, np.float32)


class PlannedBatch(Batch):
    """A batch to be cut on the device by ``plan``; its arrays are empty."""

    __slots__ = ("plan",)

    def __init__(self, plan: Plan, after: Position) -> None:
        super().__init__(_NOTHING, _NOTHING, after)
        self.plan = plan


class PlanReader(DataReader):
    """A DataReader whose batches are plans, once ``images`` says where they are carried out."""

    images: DeviceImages | None = None

    def load(self) -> Batch:
        device, walk = self.images, self.walk
        if device is None:
            return super().load()
        records = walk.upcoming(self.batch_size)
        if device.has(records):
            walk.skip(self.batch_size)
            return self._planned(device, records, device.labels[records], None)
        images, labels = self.read()
        if device.takes(images):
            return self._planned(device, records, labels, device.stage(images))
        data = self.transformer.transform(images)
        return Batch(data, labels.astype(np.float32), self.behind(records))

    def _planned(
        self,
        device: DeviceImages,
        records: np.ndarray,
        labels: np.ndarray,
        staged: torch.Tensor | None,
    ) -> Batch:
        windows = self.transformer.draw([device.shape] * len(records))
        return PlannedBatch(Plan(records, windows, labels, staged), self.behind(records))


@stands_in_for(Data)
class DeviceData(Data):
    reader_type = PlanReader

    def open_reader(self, transformer: DataTransformer) -> DataReader:
        reader = super().open_reader(transformer)
        assert isinstance(reader, PlanReader)
        if CONTEXT.device.type != "cpu" and reader.image_type == np.uint8:
            shape, records = reader.image_shape, reader.records
            reader.images = DeviceImages(transformer, shape, records, CONTEXT.device)
        self._images = reader.images
        return reader

    def bring(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(batch, PlannedBatch) and self._images is not None:
            return self._images.batch(batch.plan)
        return super().bring(batch)
