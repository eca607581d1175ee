"""Let a real Caffe train through BatchNorm, as test_batch_norm_by_hand.py does, and store its run.

From the repository root: python -m tests.torchcaffe.golden.make_batch_norm_golden

It needs a Caffe that normalizes by batch, as BVLC's and Debian's do (kendryte-caffe always takes
the stored statistics).
"""

import tempfile
import zipfile
from pathlib import Path

from tests.torchcaffe import test_batch_norm_by_hand as case
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.golden import BATCH_NORM, store
from tinynet.engine import discovery

caffe = RealCaffe(discovery.find_caffe().python)
with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(BATCH_NORM, "w") as archive:
    assert caffe.normalizes_by_batch(Path(folder)), "this Caffe's BatchNorm is not Caffe's"
    asked = case.request(Path(folder), in_place=True)
    for name, values in caffe.answer(asked, case.inputs(), Path(folder)).items():
        store(archive, name, values)
caffe.close()
print(f"{BATCH_NORM}: {BATCH_NORM.stat().st_size} bytes")
