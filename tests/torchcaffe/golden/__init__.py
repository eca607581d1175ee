"""What real Caffe answered, small, and the scripts that ask it."""

import io
import zipfile
from pathlib import Path

import numpy as np

BATCH_NORM = Path(__file__).parent / "batch_norm.npz"
SOLVERS = Path(__file__).parent / "solvers.npz"


def layers_of(family: str) -> Path:
    """The answers to one family of layer_cases."""
    return Path(__file__).parent / "layers" / f"{family}.npz"


def store(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> None:
    """Put an array into an .npz, without a date, so that equal answers make equal bytes."""
    member = io.BytesIO()
    np.save(member, values)
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, member.getvalue())
