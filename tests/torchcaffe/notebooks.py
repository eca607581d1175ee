"""Caffe's notebooks as scripts of Python 3, read from its source where it lies.

Plots and what is beside the point (downloads, timings, the shell) are left out or replaced: the
plots by modules that take any call, for an interpreter without matplotlib, and scikit-learn and
pandas by a few lines of numpy.  Nothing of Caffe's is stored here.
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
    """The code of all cells, ``patches`` (each must apply) made before print is a function.

    ``more`` is appended: what the notebook computes and only plots is printed, too.
    """
    document = json.loads(notebook.read_text())
    cells = document.get("cells") or document["worksheets"][0]["cells"]
    sources = [cell.get("source", cell.get("input")) for cell in cells if _is_code(cell)]
    text = "\n\n".join(_plain("".join(source)) for source in sources)
    return in_python_3(text, patches) + f"\n{more}\n"


def in_python_3(text: str, patches: Patches) -> str:
    """``text`` with its patches, and then with what Python 3 and a CPU ask of every script."""
    for old, new in patches:
        assert old in text, f"the source has changed: {old!r} is not in it"
        text = text.replace(old, new)
    for pattern, replacement in _EVERYWHERE:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


def _is_code(cell: dict[str, object]) -> bool:
    return cell["cell_type"] == "code"


def _plain(cell: str) -> str:
    """A cell without IPython: its magic, and the shell's lines with those that they continue on."""
    cell = re.sub(r"^( *)!(?:.*\\\n)*.*$", r"\1pass", cell, flags=re.M)
    cell = re.sub(r"^%timeit +", "", cell, flags=re.M)
    timed = cell.startswith("%%timeit")  # its names are its own
    cell = re.sub(r"^%.*$", "", cell, flags=re.M)
    if timed:
        body = "\n".join(f"    {line}" for line in cell.splitlines())
        cell = f"def timed():\n{body}\ntimed()"
    return cell


# ------------------------------------------------------------- modules to lie beside a script

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
# points in two classes that a plane nearly parts, and a classifier by least squares
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
# for an interpreter without h5py: the file is the one that another run wrote, from FOLDER
HDF5 = """
import shutil
class File(dict):
    def __init__(self, path, mode): shutil.copy(FOLDER + path[path.rindex("/"):], path)
    def __enter__(self): return self
    def __exit__(self, *ignored): pass
    def create_dataset(self, name, data, **settings): pass
"""
# caffe.io.load_image asks scikit-image for what its releases since 0.17 no longer know
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
