"""Data: batches from an LMDB or a LevelDB (src/caffe/layers/data_layer.cpp, base_data_layer.cpp).

Set-up draws from the main stream as Caffe does: two seeds if the transformer is random, of which
the second counts, then one for the thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinynet.caffeformat import schema
from tinynet.caffeformat.leveldb import LevelStore
from tinynet.caffeformat.lmdb import open_store
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import as_caffe_errors
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.prefetching_layer import PrefetchingLayer
from tinynet.torchcaffe.random_numbers import mt19937, random
from tinynet.torchcaffe.reading.data_reader import DataReader, Position, Records
from tinynet.torchcaffe.reading.data_transformer import (
    DataTransformer,
    colour_of_encoded,
    needs_random,
    read_mean,
)
from tinynet.torchcaffe.reading.shard import Shard


@register("Data")
class Data(PrefetchingLayer):
    num_top = (1, 2)
    reader: DataReader
    reader_type = DataReader

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param, transform = self.param.data_param, self.param.transform_param
        self.require(param.batch_size > 0, "batch_size must be given and positive")
        stream, _ = random.prefetching_layer(CONTEXT.stream, needs_random(transform, self.phase))
        transformer = DataTransformer(transform, self.phase, read_mean(transform), stream)
        self.start_reading(self.open_reader(transformer), top)

    def _open(self, param: schema.DataParameter) -> Records:
        if param.backend == schema.DataParameter.LMDB:
            with as_caffe_errors():
                store: Records = open_store(param.source)
            glog.info(f"Opened lmdb {param.source}")
            return store
        if (Path(param.source) / "data.mdb").is_file():
            self.require(False, f"{param.source} is an LMDB; write 'backend: LMDB'")
        with as_caffe_errors():
            store = LevelStore(param.source)
        glog.info(f"Opened leveldb {param.source}")
        return store

    def open_reader(self, transformer: DataTransformer) -> DataReader:
        """Make the reader of the database, without starting it."""
        param = self.param.data_param
        store = self._open(param)
        try:
            return self.reader_type(
                store,
                param.batch_size,
                transformer,
                param.prefetch,
                colour_of_encoded(self.param.transform_param),
                Shard.of_phase(self.phase),
            )
        except BaseException:  # a damaged first record: no reader will close it
            store.close()
            raise

    def state(self) -> dict[str, Any]:
        """The number of records, the next record, and the transformer's random state."""
        record, stream = self.reader.position
        found: dict[str, Any] = {"records": self.reader.records, "record": record}
        if stream is not None:
            found["stream"] = mt19937.to_json(stream)
        return found

    def set_state(self, state: dict[str, Any]) -> None:
        records = self.reader.records
        self.require(
            state.get("records") == records and isinstance(state.get("record"), int),
            f"the position is one in {state.get('records')} records, but there are {records} here",
        )
        stream = mt19937.from_json(state["stream"]) if "stream" in state else None
        self.reader.seek(Position(state["record"], stream))
