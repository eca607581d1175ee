"""The arithmetic in which nets compute: ``float32``, ``tf32`` or ``bf16``.

float32  Caffe's own.  By default PyTorch lets cuDNN use TF32; here it does not.
tf32     float32 products on a GPU whose operands are rounded to 10 bits of mantissa.
bf16     Activations, their diffs, convolutions and matrix products in bfloat16 (8 bits of mantissa,
         float32's range).  Weights, their diffs, the solver's history, losses and whatever a script
         or a snapshot reads stay float32.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError

NAMES = ("float32", "tf32", "bf16")


def set_precision(name: str) -> None:
    """Choose the arithmetic of the nets that this thread makes from now on, after its device.

    Raises CaffeError for another name, and for ``tf32`` on a CPU or an older GPU, which do not
    have it.  Warns if a CPU or a GPU has no bfloat16 instructions and would be slower with it.
    """
    if name not in NAMES:
        raise CaffeError(f"no precision '{name}'; there are {', '.join(NAMES)}")
    if name == "tf32" and not CONTEXT.gpu:
        raise CaffeError("tf32 is the arithmetic of a GPU and does nothing on a CPU: use float32")
    if name == "bf16" and not CONTEXT.gpu and not _cpu_has_bfloat16():
        glog.warning(
            "this processor has no bfloat16 instructions (AVX512-BF16 or AMX): bf16 will be many "
            "times slower than float32 here; leave out --precision bf16, or train on a GPU",
        )
    if name != "float32" and CONTEXT.gpu:
        _require_gpu_of(name)
    CONTEXT.precision = name
    CONTEXT.apply_tf32()


def _require_gpu_of(name: str) -> None:
    """Refuse or warn before compute capability 8.0, without which TF32 has silently no effect."""
    if torch.version.hip is not None:
        return  # AMD's capabilities are numbered differently
    capability = torch.cuda.get_device_capability(CONTEXT.device_id)
    if capability >= (8, 0):
        return
    gpu = f"{torch.cuda.get_device_name(CONTEXT.device_id)} (compute capability "
    gpu += f"{'.'.join(map(str, capability))}, older than 8.0)"
    if name == "tf32":
        raise CaffeError(f"tf32 does nothing on this {gpu}: use float32")
    glog.warning(f"this {gpu} has no bfloat16 instructions: bf16 may be slower than float32 here")


def _cpu_has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
