"""Train every case of test_solvers_against_caffe.py with real Caffe, and store the result.

From the repository root: python -m tests.torchcaffe.golden.make_solvers_golden
"""

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.torchcaffe import test_solvers_against_caffe as cases
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.golden import SOLVERS, store
from tinynet.engine import discovery

caffe = RealCaffe(discovery.find_caffe().python)
with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(SOLVERS, "w") as archive:
    folder = Path(name)
    for case, options in cases.CASES.items():
        request = {"solver": cases.solver(options, folder), "steps": cases.UPDATES}
        answer = caffe.answer(request, cases.inputs(), folder)
        for key, values in cases.kept(answer).items():
            store(archive, f"{case}:{key}", values.astype(np.float32))
caffe.close()
print(f"{SOLVERS}: {len(cases.CASES)} cases, {SOLVERS.stat().st_size} bytes")
