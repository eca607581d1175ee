"""A Data layer's reader: its position is that of the last batch taken, and it can be restored."""

from __future__ import annotations

import gc
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import Store, open_store, write_store
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.random_numbers import mt19937
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading import data_reader
from tinynet.torchcaffe.reading.data_reader import DataReader, Position
from tinynet.torchcaffe.reading.data_transformer import DataTransformer, needs_random

RECORDS, BATCH = 23, 4  # an epoch never ends with a batch
AUGMENTED = "mirror: true crop_size: 5 mean_value: 100 scale: 0.5"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reader") / "lmdb"
    numbers = np.random.RandomState(3)
    images = numbers.randint(0, 256, (RECORDS, 3, 9, 8)).astype(np.uint8)
    write_store(path, ((b"%04d" % i, encode_datum(p, i)) for i, p in enumerate(images)))
    return path


@pytest.fixture
def reader(database: Path) -> Iterator[Callable[..., DataReader]]:
    made: list[DataReader] = []

    def make(transform: str = AUGMENTED, prefetch: int = 4) -> DataReader:
        param = text.parse(transform, schema.TransformationParameter, "transform")
        stream = Mt19937(5) if needs_random(param, schema.TRAIN) else None
        transformer = DataTransformer(param, schema.TRAIN, None, stream)
        made.append(DataReader(open_store(database), BATCH, transformer, prefetch, "native"))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


def take(reader: DataReader, batches: int) -> list[tuple[bytes, list[float]]]:
    found = [reader.next_batch() for _ in range(batches)]
    return [(batch.data.tobytes(), batch.labels.tolist()) for batch in found]


def test_batches_wrap_around_the_records(reader: Callable[..., DataReader]) -> None:
    labels = [label for _, batch in take(reader("scale: 1"), 12) for label in batch]
    assert labels == [float(n % RECORDS) for n in range(12 * BATCH)]


@pytest.mark.parametrize("prefetch", [1, 4, 40])
@pytest.mark.parametrize("transform", [AUGMENTED, "scale: 1"])
@pytest.mark.parametrize("batches_taken", [0, 1, 5, 6, 23])
def test_a_reader_resumed_from_a_position_continues_with_the_same_batches(
    reader: Callable[..., DataReader], transform: str, prefetch: int, batches_taken: int
) -> None:
    uninterrupted = reader(transform, prefetch)
    take(uninterrupted, batches_taken)
    position = uninterrupted.position
    assert position.record == batches_taken * BATCH % RECORDS
    expected = take(uninterrupted, 9)
    # in a reader that has read ahead at another position, and twice in the same reader
    other = reader(transform, prefetch)
    take(other, 3)
    for _ in range(2):
        other.seek(position)
        assert other.position is position
        assert take(other, 9) == expected


def test_a_random_state_survives_json(reader: Callable[..., DataReader]) -> None:
    stream = Mt19937(8)
    stream.uint32s(1000)
    key, place = mt19937.from_json(mt19937.to_json(stream.get_state()))
    expected = stream.uint32s(700).tolist()
    again = Mt19937(0)
    again.set_state(key, place)
    assert again.uint32s(700).tolist() == expected
    for wrong in ({}, None, {"key": "00", "position": 3}, {"key": "zz", "position": 3}):
        with pytest.raises(CaffeError, match="624 words"):
            mt19937.from_json(wrong)


def test_a_position_outside_the_data_is_refused(reader: Callable[..., DataReader]) -> None:
    augmented = reader()
    state = augmented.position.stream
    with pytest.raises(CaffeError, match=f"record from 0 to {RECORDS - 1}"):
        augmented.seek(Position(RECORDS, state))
    with pytest.raises(CaffeError, match="without"):
        augmented.seek(Position(0, None))
    assert take(augmented, 1)[0][1] == [0.0, 1.0, 2.0, 3.0]


def test_pages_that_were_read_are_released_repeatedly(
    reader: Callable[..., DataReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = len(encode_datum(np.zeros((3, 9, 8), np.uint8), 1))
    given_back = []
    monkeypatch.setattr(Store, "give_back_pages", lambda store: given_back.append(store))
    monkeypatch.setattr(data_reader, "_RESIDENT_BYTES", 2 * BATCH * record - 8)
    take(reader(prefetch=1), 40)
    assert 20 <= len(given_back) <= 21  # one or two batches are read ahead


def test_a_batch_is_stored_channels_last(reader: Callable[..., DataReader]) -> None:
    data = torch.from_numpy(reader().next_batch().data)
    assert data.shape == (BATCH, 3, 5, 5)
    assert data.is_contiguous(memory_format=torch.channels_last)


def test_a_reader_that_its_own_thread_collects_ends_its_batch_before_it_closes_the_database(
    reader: Callable[..., DataReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is views of the memory map; to read them once it is closed ends the process."""
    one = reader()
    transform, close_store = one.transformer.transform, one._store.close
    by: list[str] = []
    during: list[int] = []

    def collected(images: Sequence[np.ndarray]) -> np.ndarray:
        one.abandon()
        during.append(len(by))
        return transform(images)

    def close() -> None:
        by.append(threading.current_thread().name)
        close_store()

    monkeypatch.setattr(one._store, "close", close)
    monkeypatch.setattr(one.transformer, "transform", collected)
    assert one._thread is not None
    while one._thread.is_alive():
        with suppress(queue.Empty):  # makes room for one more batch
            one._ready.get(timeout=0.05)
    assert during == [0]
    assert by == ["data reader"]


def test_close_waits_until_the_database_is_closed_also_after_an_error(
    reader: Callable[..., DataReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = reader()
    monkeypatch.setattr(one.transformer, "transform", lambda images: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        take(one, 6)
    one.close()
    with pytest.raises(lmdb.Error):
        one._store.first()


def test_a_net_whose_reading_failed_is_collected_and_its_database_closed(database: Path) -> None:
    """The error refers to the frames that it passed, and the reader keeps it for the next call."""
    net = Path(database.parent / "fails.prototxt")
    net.write_text(
        f'layer {{ name: "data" type: "Data" top: "data" top: "label" data_param {{ source: '
        f'"{database}" batch_size: 4 backend: LMDB }} transform_param {{ crop_size: 5 }} }}'
    )
    made = caffe.Net(str(net), caffe.TRAIN)
    alive = weakref.ref(made)
    reader = made.layers[0].reader
    reader.transformer.transform = lambda images: 1 // 0
    for _ in range(8):
        with suppress(ZeroDivisionError):
            made.forward()
    with pytest.raises(ZeroDivisionError):
        made.forward()
    store = reader._store
    del made, reader
    gc.collect()
    assert alive() is None
    with pytest.raises(lmdb.Error):
        store.first()


def test_a_forked_child_is_refused_its_parents_reader_in_one_line(
    reader: Callable[..., DataReader],
) -> None:
    one = reader()
    take(one, 1)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            take(one, 20)
        except CaffeError as error:
            os.write(sender, str(error).encode())
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    assert found.startswith("the thread that reads its data does not run here")
    assert len(take(one, 20)) == 20


def test_a_forked_child_opens_a_database_though_another_thread_of_the_parent_was_opening_one(
    database: Path, tmp_path: Path
) -> None:
    """Else it would wait for ever for a lock whose owner it does not have."""
    other = tmp_path / "other"
    write_store(other, [(b"0", b"x")])
    done = threading.Event()

    def open_and_close() -> None:
        while not done.is_set():
            open_store(database).close()

    threads = [threading.Thread(target=open_and_close) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                try:
                    open_store(other).close()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()


WORKS_ALONE = """
import sys, os, torch
from tinynet.caffeformat.lmdb import open_store
from tinynet.torchcaffe.reading.data_reader import DataReader
from tinynet.torchcaffe.reading.data_transformer import DataTransformer
from tinynet.caffeformat import schema, text

torch.set_num_threads(4)
param = text.parse("mean_value: 100 scale: 0.5", schema.TransformationParameter, "transform")
reader = DataReader(open_store(sys.argv[1]), 64, DataTransformer(param, schema.TRAIN), 4, "native")
before = len(os.listdir("/proc/self/task"))
reader.start()
for _ in range(20):
    reader.next_batch()
print(len(os.listdir("/proc/self/task")) - before)
reader.close()  # a thread that the interpreter's end meets in PyTorch aborts the process
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_the_reader_starts_no_pytorch_threads(tmp_path: Path) -> None:
    """Such threads would spin, waiting for work, on the cores that train."""
    images = np.random.RandomState(0).randint(0, 256, (70, 3, 64, 64)).astype(np.uint8)
    write_store(tmp_path / "big", ((b"%04d" % i, encode_datum(p, i)) for i, p in enumerate(images)))
    command = [sys.executable, "-c", WORKS_ALONE, str(tmp_path / "big")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
