"""Caffe's notebooks, read from Caffe's source, as scripts of Python 3.

Downloads, timings and shell commands are left out.  For an interpreter without matplotlib, the
plots go to modules that accept any call; a few lines of numpy replace scikit-learn and pandas.
Nothing of Caffe's is stored here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

Patches = Iterable[tuple[str, str]]

_EVERYWHERE = (
    (r"^( *)print (.+?) *$", r"\1print(\2)"),
    (r"\.iteritems\(\)", ".items()"),
    (r"\bxrange\(", "range("),
    (r"NamedTemporaryFile\(delete", 'NamedTemporaryFile("w", delete'),
    (r"np\.fromstring\(", "np.frombuffer("),
    (r"^( *)caffe\.set_device\(0\).*$", r"\1caffe.set_mode_cpu()"),
    (r"caffe\.set_mode_gpu\(\)", "caffe.set_mode_cpu()"),
    (r"SolverParameter\.GPU", "SolverParameter.CPU"),
)


def script(notebook: Path, patches: Patches, more: str = "") -> str:
    """Return the code of all cells, with ``patches`` (each must apply), converted to Python 3.

    ``more`` is appended, to print values that the notebook computes and only plots.
    """
    document = json.loads(notebook.read_text())
    cells = document.get("cells") or document["worksheets"][0]["cells"]
    sources = [cell.get("source", cell.get("input")) for cell in cells if _is_code(cell)]
    text = "\n\n".join(_plain("".join(source)) for source in sources)
    return in_python_3(text, patches) + f"\n{more}\n"


def in_python_3(text: str, patches: Patches) -> str:
    """Apply the patches to ``text``, and then what every script needs for Python 3 and a CPU."""
    for old, new in patches:
        assert old in text, f"the source has changed: {old!r} is not in it"
        text = text.replace(old, new)
    for pattern, replacement in _EVERYWHERE:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


def _is_code(cell: dict[str, object]) -> bool:
    return cell["cell_type"] == "code"


def _plain(cell: str) -> str:
    """Remove IPython's magic commands and shell lines from a cell."""
    cell = re.sub(r"^( *)!(?:.*\\\n)*.*$", r"\1pass", cell, flags=re.M)
    cell = re.sub(r"^%timeit +", "", cell, flags=re.M)
    timed = cell.startswith("%%timeit")  # a timed cell has a scope of its own
    cell = re.sub(r"^%.*$", "", cell, flags=re.M)
    if timed:
        body = "\n".join(f"    {line}" for line in cell.splitlines())
        cell = f"def timed():\n{body}\ntimed()"
    return cell


# ------------------------------------------------------ modules to be written beside a script

_ANYTHING = """
class Anything:
    def __call__(self, *arguments, **named): return self
    def __getattr__(self, name): return self
    def __iter__(self): return iter((self, self))
    def __setitem__(self, key, value): pass
    def __getitem__(self, key): return self
anything = Anything()
"""
PLOTS = {
    "matplotlib/__init__.py": "",
    "matplotlib/pyplot.py": f"{_ANYTHING}\ndef __getattr__(name): return anything\n",
    "pylab.py": f"from numpy import *\nimport numpy as np\n{_ANYTHING}\n"
    "imshow = axis = subplots = figure = plot = xlabel = ylabel = plt = anything\n",
}
# points in two classes that a plane almost separates, and a classifier by least squares
LEARNING = {
    "pandas.py": f"{_ANYTHING}\ndef __getattr__(name): return anything\n",
    "sklearn/__init__.py": "from sklearn import metrics, model_selection\n",
    "sklearn/datasets.py": """
import numpy as np
def make_classification(n_samples, n_features, random_state, **others):
    draw = np.random.RandomState(random_state)
    points = draw.randn(n_samples, n_features)
    return points, (points[:, 0] - points[:, 1] + draw.randn(n_samples) > 0).astype(int)
""",
    "sklearn/model_selection.py": """
def train_test_split(x, y):
    cut = 3 * len(x) // 4
    return x[:cut], x[cut:], y[:cut], y[cut:]
""",
    "sklearn/linear_model.py": """
import numpy as np
class SGDClassifier:
    def __init__(self, **settings): pass
    def fit(self, x, y): self.plane = np.linalg.lstsq(x, 2 * y - 1, rcond=None)[0]
    def predict(self, x): return (x @ self.plane > 0).astype(int)
""",
    "sklearn/metrics.py": "def accuracy_score(wanted, found): return (wanted == found).mean()\n",
}
# for an interpreter without h5py: copies the file that another run wrote, from FOLDER
HDF5 = """
import shutil
class File(dict):
    def __init__(self, path, mode): shutil.copy(FOLDER + path[path.rindex("/"):], path)
    def __enter__(self): return self
    def __exit__(self, *ignored): pass
    def create_dataset(self, name, data, **settings): pass
"""
# caffe.io.load_image uses an argument that scikit-image removed after release 0.17
LOAD_IMAGE = """
import caffe
import numpy
import PIL.Image
def _load_image(path, color=True):
    image = PIL.Image.open(path).convert("RGB" if color else "L")
    pixels = numpy.asarray(image, numpy.float32) / 255
    return pixels if color else pixels[:, :, None]
caffe.io.load_image = _load_image
"""


def write(folder: Path, modules: dict[str, str]) -> None:
    for name, text in modules.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
