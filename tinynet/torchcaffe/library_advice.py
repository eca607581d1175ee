"""Advice on names that newer releases of the libraries scripts use have removed.

Scripts of Caffe's time are written for numpy before 1.24, scipy before 1.3 and the like.
"""

from __future__ import annotations

import re

# names removed from numpy: aliases of Python's types (in 1.24), and others (in 2.0)
_NUMPY = {
    "float": "float (or np.float64)",
    "int": "int (or np.int64)",
    "bool": "bool (or np.bool_)",
    "object": "object",
    "str": "str",
    "complex": "complex (or np.complex128)",
    "long": "int",
    "unicode": "str",
    "float_": "np.float64",
    "complex_": "np.complex128",
    "string_": "np.bytes_",
    "unicode_": "np.str_",
    "bool8": "np.bool_",
    "int0": "np.intp",
    "Inf": "np.inf",
    "Infinity": "np.inf",
    "infty": "np.inf",
    "NaN": "np.nan",
    "NAN": "np.nan",
    "PINF": "np.inf",
    "NINF": "-np.inf",
    "product": "np.prod",
    "cumproduct": "np.cumprod",
    "alltrue": "np.all",
    "sometrue": "np.any",
    "asscalar": "ARRAY.item()",
    "asfarray": "np.asarray(ARRAY, dtype=float)",
    "row_stack": "np.vstack",
    "in1d": "np.isin",
    "trapz": "np.trapezoid",
    "round_": "np.round",
    "msort": "np.sort(ARRAY, axis=0)",
    "find_common_type": "np.result_type",
    "cast": "np.asarray(ARRAY, dtype=TYPE)",
    "rank": "np.ndim",
}
_SCIPY_MISC = {
    "imread": "numpy.array(PIL.Image.open(FILE))",
    "imsave": "PIL.Image.fromarray(ARRAY).save(FILE)",
    "imresize": "PIL.Image.fromarray(ARRAY).resize((WIDTH, HEIGHT))",
    "toimage": "PIL.Image.fromarray(ARRAY)",
    "face": "scipy.datasets.face()",
    "lena": "scipy.datasets.face()",
    "ascent": "scipy.datasets.ascent()",
    "comb": "scipy.special.comb",
    "factorial": "scipy.special.factorial",
    "logsumexp": "scipy.special.logsumexp",
}
# the error's message, and the advice
_OTHERS = (
    (
        r"load\(\) missing 1 required positional argument: 'Loader'",
        "yaml.load(…) wants a Loader since PyYAML 6: write yaml.safe_load(…)",
    ),
    (
        r"No module named 'scipy\.misc'",
        "scipy.misc is gone from scipy: write PIL.Image.open(FILE) and PIL.Image.fromarray(ARRAY)",
    ),
    (
        r"'numpy\.ndarray' object has no attribute 'tostring'",
        "ARRAY.tostring() is gone from numpy: write ARRAY.tobytes()",
    ),
    (
        r"module 'PIL\.Image' has no attribute 'ANTIALIAS'",
        "Image.ANTIALIAS is gone from Pillow: write Image.LANCZOS",
    ),
    (
        r"unexpected keyword argument 'as_grey'",
        "as_grey is as_gray since scikit-image 0.16: write as_gray",
    ),
    (
        r"No module named 'sklearn\.(cross_validation|grid_search)'",
        "that module of scikit-learn is gone: write sklearn.model_selection",
    ),
    (
        r"cannot import name 'cross_validation' from 'sklearn'",
        "that module of scikit-learn is gone: write sklearn.model_selection",
    ),
    (
        r"module 'time' has no attribute 'clock'",
        "time.clock is gone from Python: write time.perf_counter()",
    ),
    (
        r"(module 'collections' has no attribute|cannot import name) "
        r"'(Iterable|Mapping|MutableMapping|Sequence|Callable)'",
        "that name has moved: write collections.abc for collections",
    ),
    (
        r"'Dataset' object has no attribute 'value'",
        "DATASET.value is gone from h5py: write DATASET[()]",
    ),
    (
        r"binary mode of fromstring is removed",
        "np.fromstring of bytes is gone from numpy: write np.frombuffer(…), which is read-only "
        "(add .copy() to change it)",
    ),
    (
        r"module 'cv2' has no attribute 'CV_LOAD_IMAGE_COLOR'",
        "CV_LOAD_IMAGE_COLOR is gone from OpenCV: write cv2.IMREAD_COLOR",
    ),
    (
        r"module 'cv2' has no attribute 'CV_LOAD_IMAGE_GRAYSCALE'",
        "CV_LOAD_IMAGE_GRAYSCALE is gone from OpenCV: write cv2.IMREAD_GRAYSCALE",
    ),
    (
        r"'(DataFrame|Series)' object has no attribute 'ix'",
        ".ix is gone from pandas: write .loc (by label) or .iloc (by position)",
    ),
    (
        r"'(DataFrame|Series)' object has no attribute 'as_matrix'",
        "as_matrix() is gone from pandas: write to_numpy()",
    ),
    (
        r"control character 'delimiter' cannot be a newline",
        "np.loadtxt takes no newline as delimiter any more: write "
        "np.array(open(FILE).read().splitlines())",
    ),
)


def on_exception(error: Exception) -> str | None:
    """What was removed and what to write instead; None if no library's release is the cause.

    The caller puts the file and line before it.
    """
    if not isinstance(error, (AttributeError, ImportError, TypeError, ValueError)):
        return None
    said = str(error)
    return _of_numpy(said) or _of_scipy(said) or _of_others(said)


def _of_numpy(said: str) -> str | None:
    told = re.match(r"module 'numpy' has no attribute '(\w+)'", said)
    told = told or re.match(r"`np\.(\w+)` was removed", said)
    if told is None:
        return None
    import numpy

    instead = _NUMPY.get(told[1])
    advice = f"write {instead}" if instead else "see numpy's release notes for what replaced it"
    return (
        f"np.{told[1]} is gone from numpy (here {numpy.__version__}), "
        f"which is not Caffe's doing: {advice}, or install 'numpy<1.24'"
    )


def _of_scipy(said: str) -> str | None:
    told = re.match(
        r"(?:module 'scipy\.misc' has no attribute|cannot import name) '(\w+)'"
        r"(?: from 'scipy\.misc'|$)",
        said,
    )
    if told is None or told[1] not in _SCIPY_MISC:
        return None
    return f"scipy.misc.{told[1]} is gone from scipy: write {_SCIPY_MISC[told[1]]}"


def _of_others(said: str) -> str | None:
    return next((advice for pattern, advice in _OTHERS if re.search(pattern, said)), None)
