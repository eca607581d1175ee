"""Images that a GPU stores and crops itself give the batches of the CPU and of real Caffe.

Most test machines have no GPU, so the same functions run here on the CPU's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.torchcaffe import random_requests as asked
from tests.torchcaffe.conftest import needs_gpu
from tests.torchcaffe.reading.test_data_transformer import mean_of, parse
from tinynet.caffeformat import schema
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.torchcaffe.fast import device_images
from tinynet.torchcaffe.fast.device_data import PlannedBatch, PlanReader
from tinynet.torchcaffe.fast.device_images import DeviceImages, Plan
from tinynet.torchcaffe.random_numbers import random
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading import data_transformer
from tinynet.torchcaffe.reading.data_transformer import DataTransformer, needs_random

CPU = torch.device("cpu")
BYTES = [name for name, (store, *_) in asked.TRANSFORMS.items() if store in ("bytes", "square")]
AUGMENTED = "mirror: true crop_size: 5 mean_value: 100.3 scale: 0.017"
RECORDS, BATCH = 23, 4  # an epoch never ends with a batch


@asked.by_both
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("name", BYTES)
def test_a_device_cuts_caffes_batches(
    answers_class: type, name: str, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    caffe = answers_class()
    monkeypatch.setattr(device_images, "fits", lambda size, device: stored)
    store, phase, source = asked.TRANSFORMS[name]
    transform = parse(source)
    main = Mt19937(asked.TRANSFORM_SEED)
    stream, _ = random.prefetching_layer(main, data_transformer.needs_random(transform, phase))
    transformer = DataTransformer(transform, phase, mean_of(transform), stream)
    images = asked.images(store)
    device = DeviceImages(transformer, images[0].shape, len(images), CPU)
    labels = np.arange(len(images)) + 3
    for number in range(asked.BATCHES):
        records = (number * asked.BATCH + np.arange(asked.BATCH)) % len(images)
        batch = [images[record] for record in records]
        brought = None if device.has(records) else device.stage(batch)
        windows = transformer.draw([image.shape for image in batch])
        plan = Plan(records, windows, labels[records], brought)
        data, found = device.batch(plan)
        caffe.expect(f"{name}/blob/data/{number}", data.numpy())
        assert data.is_contiguous(memory_format=torch.channels_last)
        assert found.tolist() == labels[records].tolist() and found.dtype == torch.float32
    assert device.has(np.arange(len(images))) is stored


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device") / "lmdb"
    images = np.random.RandomState(3).randint(0, 256, (RECORDS, 3, 9, 8)).astype(np.uint8)
    labels = 2**24 - 9 + np.arange(RECORDS)  # the last labels are not exact in float32
    write_store(path, ((b"%04d" % i, encode_datum(p, labels[i])) for i, p in enumerate(images)))
    return path


@pytest.fixture
def open_reader(database: Path) -> Iterator[Callable[..., PlanReader]]:
    made: list[PlanReader] = []

    def make(path: Path = database, on_device: bool = True, phase: int = 0) -> PlanReader:
        param = parse(AUGMENTED)
        stream = Mt19937(5) if needs_random(param, phase) else None
        transformer = DataTransformer(param, phase, None, stream)
        reader = PlanReader(open_store(path), BATCH, transformer, 3, "native")
        if on_device:
            shape, records = reader.image_shape, reader.records
            reader.images = DeviceImages(transformer, shape, records, CPU)
        made.append(reader)
        reader.start()
        return reader

    yield make
    for reader in made:
        reader.close()


def take(reader: PlanReader, batches: int) -> list[tuple[bytes, list[float]]]:
    found = []
    for _ in range(batches):
        batch = reader.next_batch()
        if not isinstance(batch, PlannedBatch):
            data, labels = torch.from_numpy(batch.data), torch.from_numpy(batch.labels)
        else:
            assert reader.images is not None
            data, labels = reader.images.batch(batch.plan)
        found.append((data.contiguous().numpy().tobytes(), labels.tolist()))
    return found


@pytest.mark.parametrize("stored", [True, False])
def test_the_reader_gives_the_same_batches_for_a_device_from_every_position(
    open_reader: Callable[..., PlanReader], monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr(device_images, "fits", lambda size, device: stored)
    here, there = open_reader(on_device=False), open_reader()
    positions = []
    for _ in range(4):
        assert take(there, 5) == take(here, 5)
        assert there.position.record == here.position.record
        positions.append(here.position)
    # the device already stores all, some or none of the images that follow
    for position in reversed(positions):
        for reader in (here, there, late := open_reader()):
            reader.seek(position)
        expected = take(here, 9)
        assert take(there, 9) == expected
        assert take(late, 9) == expected


def test_after_an_epoch_only_plans_are_copied_to_the_device(
    open_reader: Callable[..., PlanReader],
) -> None:
    reader = open_reader()
    take(reader, 6 + 4)  # an epoch, and what was read ahead of it
    for _ in range(12):
        batch = reader.next_batch()
        assert isinstance(batch, PlannedBatch) and batch.plan.images is None
        assert reader.images is not None
        reader.images.batch(batch.plan)


@pytest.mark.parametrize("others", ["sizes", "floats"])
def test_images_that_a_device_cannot_store_are_cut_on_the_host(
    open_reader: Callable[..., PlanReader], tmp_path: Path, others: str
) -> None:
    images = [*asked.images("bytes"), *asked.images(others)]
    path = tmp_path / "mixed"
    write_store(path, ((b"%04d" % i, encode_datum(p, i)) for i, p in enumerate(images)))
    assert take(open_reader(path), 15) == take(open_reader(path, on_device=False), 15)


def test_a_data_set_is_stored_in_a_quarter_of_the_free_memory_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = torch.device("cuda", 1)
    asked_for = []
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda device: asked_for.append(device) or (4000, 9000)
    )
    assert device_images.fits(1000, gpu) and not device_images.fits(1001, gpu)
    assert asked_for == [gpu, gpu]


@needs_gpu
@pytest.mark.parametrize("stored", [True, False])
def test_a_gpu_gives_the_batches_of_the_cpu(
    database: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr(device_images, "fits", lambda size, device: stored)
    found = []
    for device in (CPU, torch.device("cuda", 0)):
        transformer = DataTransformer(parse(AUGMENTED), schema.TRAIN, None, Mt19937(5))
        reader = PlanReader(open_store(database), BATCH, transformer, 3, "native")
        if device.type != "cpu":
            shape, records = reader.image_shape, reader.records
            reader.images = DeviceImages(transformer, shape, records, device)
        reader.start()
        batches = [reader.next_batch() for _ in range(20)]
        if reader.images is not None:
            plans = [batch.plan for batch in batches if isinstance(batch, PlannedBatch)]
            assert len(plans) == len(batches)
            cut = [reader.images.batch(plan) for plan in plans]
            found.append([data.cpu().numpy().copy() for data, _ in cut])
        else:
            found.append([batch.data for batch in batches])
        reader.close()
    np.testing.assert_array_equal(*found)
