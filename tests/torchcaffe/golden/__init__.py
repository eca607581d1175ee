"""What real Caffe answered, small, and the scripts that ask it."""

from pathlib import Path

BATCH_NORM = Path(__file__).parent / "batch_norm.npz"
SOLVERS = Path(__file__).parent / "solvers.npz"


def layers_of(family: str) -> Path:
    """The answers to one family of layer_cases."""
    return Path(__file__).parent / "layers" / f"{family}.npz"
