"""Ask real Caffe for the cases of layer_cases, and store its answers, a file per family.

From the repository root: python -m tests.torchcaffe.golden.make_layers_golden [FAMILY…]

The batch_norms take a Caffe that normalizes by batch in BatchNorm, as BVLC's and Debian's do
(kendryte-caffe always takes the stored statistics), and the clips one that has Clip.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.golden import layers_of, store
from tests.torchcaffe.layer_cases import FAMILIES
from tinynet.engine import discovery

caffe = RealCaffe(discovery.find_caffe().python)
with tempfile.TemporaryDirectory() as folder:
    for family in sys.argv[1:] or FAMILIES:
        cases = FAMILIES[family]
        if any(case.normalizes_by_batch for case in cases.values()):
            assert caffe.normalizes_by_batch(Path(folder)), "this Caffe's BatchNorm is not Caffe's"
        path = layers_of(family)
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, case in cases.items():
                answer = caffe.answer(case.request, case.arrays, Path(folder))
                for key, values in answer.items():
                    if key.startswith("1/"):
                        store(archive, f"{name}:{key[2:]}", values)
        print(f"{path}: {len(cases)} cases, {path.stat().st_size} bytes")
caffe.close()
