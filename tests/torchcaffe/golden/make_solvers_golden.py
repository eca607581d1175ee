"""Let real Caffe take every case of test_solvers_against_caffe.py, and store its path.

From the repository root: python -m tests.torchcaffe.golden.make_solvers_golden

Zip members bear no date, so that equal answers make equal bytes.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.torchcaffe import test_solvers_against_caffe as cases
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.golden import SOLVERS
from tinynet.engine import discovery

caffe = RealCaffe(discovery.find_caffe().python)
with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(SOLVERS, "w") as archive:
    folder = Path(name)
    for case, options in cases.CASES.items():
        request = {"solver": cases.solver(options, folder), "steps": cases.UPDATES}
        answer = caffe.answer(request, cases.inputs(), folder)
        for key, values in cases.kept(answer).items():
            member = io.BytesIO()
            np.save(member, values.astype(np.float32))
            info = zipfile.ZipInfo(f"{case}:{key}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
caffe.close()
print(f"{SOLVERS}: {len(cases.CASES)} cases, {SOLVERS.stat().st_size} bytes")
