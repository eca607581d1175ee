"""Whether the processor has AVX-512, and what follows for convolutions.

PyTorch multiplies matrices by MKL and convolves by oneDNN.  On processors that are not Intel's MKL
uses half of the vectors' width: on two cores of an AMD EPYC with AVX-512, MKL multiplies at
210 GFLOP/s and oneDNN convolves at 450.  There it does not pay to save products, nor to gather
windows for them.  On Intel's processors both use the whole width; which way is faster there has not
been measured.
"""

from __future__ import annotations

import functools

import torch


@functools.cache
def available() -> bool:
    """Whether PyTorch computes with AVX-512 here (``ATEN_CPU_CAPABILITY=avx2`` forbids it)."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"
