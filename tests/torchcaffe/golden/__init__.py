"""What real Caffe answered, small, and the scripts that ask it."""

from pathlib import Path

BATCH_NORM = Path(__file__).parent / "batch_norm.npz"
LAYERS = Path(__file__).parent / "layers.npz"
SOLVERS = Path(__file__).parent / "solvers.npz"
