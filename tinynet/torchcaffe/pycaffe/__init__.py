"""pycaffe's API over the engine: what Caffe implements in Python or in its command line.

The engine (net, solver, layers) imports nothing from here.  The package also stands for pycaffe's
module ``caffe.pycaffe``, and has its names.
"""

from inspect import getattr_static

from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.parallel import NCCL
from tinynet.torchcaffe.pycaffe.timer import Timer
from tinynet.torchcaffe.solver_types import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
]

# the functions and properties that pycaffe adds to its Net, under their names in that module
_Net_batch = Net._batch
_Net_forward, _Net_backward = Net.forward, Net.backward
_Net_forward_all, _Net_forward_backward_all = Net.forward_all, Net.forward_backward_all
_Net_set_input_arrays = Net.set_input_arrays
_Net_blobs, _Net_params = getattr_static(Net, "blobs"), getattr_static(Net, "params")
_Net_inputs, _Net_outputs = getattr_static(Net, "inputs"), getattr_static(Net, "outputs")
_Net_layer_dict = getattr_static(Net, "layer_dict")
_Net_blob_loss_weights = getattr_static(Net, "blob_loss_weights")
