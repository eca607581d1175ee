"""Ask real Caffe for every case of layer_cases.py, and store its answers in layers.npz.

From the repository root: python -m tests.torchcaffe.golden.make_layers_golden

It takes a Caffe that normalizes by batch in BatchNorm, as BVLC's and Debian's do (kendryte-caffe
always takes the stored statistics).  Zip members bear no date, so that equal answers make equal
bytes.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.torchcaffe import layer_cases
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.golden import LAYERS
from tinynet import engines

caffe = RealCaffe(engines.find_caffe().python)
with tempfile.TemporaryDirectory() as folder:
    assert caffe.normalizes_by_batch(Path(folder)), "this Caffe's BatchNorm is not Caffe's"
    with zipfile.ZipFile(LAYERS, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, case in layer_cases.LAYERS.items():
            answer = caffe.answer(case.request, case.arrays, Path(folder))
            for key, values in answer.items():
                if key.startswith("1/"):
                    member = io.BytesIO()
                    np.save(member, values)
                    info = zipfile.ZipInfo(f"{name}:{key[2:]}.npy")
                    info.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(info, member.getvalue())
caffe.close()
print(f"{LAYERS}: {len(layer_cases.LAYERS)} cases, {LAYERS.stat().st_size} bytes")
