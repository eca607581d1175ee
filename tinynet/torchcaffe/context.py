"""The current thread's mode, device and random stream, as in Caffe's per-thread singleton.

Caffe keeps mode and generator per thread (src/caffe/common.cpp): a thread that a user starts begins
in CPU mode with its own generator.
"""

from __future__ import annotations

import operator
import os
import threading

import torch

from tinynet.torchcaffe.errors import CaffeError, first_line
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937


class Context(threading.local):
    """State of one thread: ``gpu`` (mode), ``device_id``, ``precision``, the main ``stream``.

    ``meta``: nets are made without values, on torch's meta device (no_kernels.py).
    ``fast``: whether accelerated code is used (acceleration.py).
    ``solver_count``, ``solver_rank``: how many solvers train together, and which one is this
    thread's; ``multiprocess``: whether each has its own process (parallel.py).
    """

    def __init__(self) -> None:
        self.gpu = False
        self.meta = False
        self.device_id = 0
        self.precision = "float32"  # one of precision.NAMES
        self.fast = os.environ.get("TINYNET_FAST", "1") != "0"
        self.solver_count = 1
        self.solver_rank = 0
        self.multiprocess = False
        self._stream: Mt19937 | None = None
        self._seed_for_gpu: int | None = None  # of the GPU's generator, until it is seeded

    @property
    def device(self) -> torch.device:
        if self.meta:
            return torch.device("meta")
        return torch.device("cuda", self.device_id) if self.gpu else torch.device("cpu")

    @property
    def root_solver(self) -> bool:
        """Whether this thread's solver is the one that displays, tests and saves."""
        return self.solver_rank == 0

    @property
    def stream(self) -> Mt19937:
        """The main mt19937 stream; seeded from the system's entropy unless a seed was set."""
        if self._stream is None:
            self._stream = Mt19937(int.from_bytes(os.urandom(4), "little"))
        return self._stream

    def seed(self, seed: int) -> None:
        """Seed the main stream, and the GPU's generator when it is used; the low 32 bits count."""
        self._stream = Mt19937(seed & 0xFFFFFFFF)
        self._seed_for_gpu = seed & 0xFFFFFFFF
        if self.gpu:
            self.use_gpu()

    def use_gpu(self) -> None:
        """Make ``device_id`` PyTorch's current GPU, and seed its generator if ``seed`` was called.

        Where no GPU is named, PyTorch seeds, allocates and synchronizes on the current one, which
        is GPU 0 by default.
        """
        torch.cuda.set_device(self.device_id)
        if self._seed_for_gpu is not None:
            torch.cuda.manual_seed(self._seed_for_gpu)
            self._seed_for_gpu = None

    def apply_tf32(self) -> None:
        """In GPU mode, have products round to TF32 if that is the precision, and only then.

        PyTorch lets cuDNN do so by default.  Its switches are the process's: threads that compute
        on a GPU at once must have the same precision.
        """
        if self.gpu:
            torch.backends.cuda.matmul.allow_tf32 = self.precision == "tf32"
            torch.backends.cudnn.allow_tf32 = self.precision == "tf32"


CONTEXT = Context()


def set_mode_cpu() -> None:
    """Use the CPU for the nets that this thread makes from now on; others stay where they are."""
    CONTEXT.gpu = CONTEXT.meta = False


def set_mode_gpu() -> None:
    """Use the GPU of ``set_device`` for the nets that this thread makes from now on.

    Others stay where they are, unlike in Caffe, which asks for the mode at each layer.  Raises
    CaffeError if PyTorch sees no such device or cannot compute on it.
    """
    _require_device(CONTEXT.device_id)
    _require_computes(torch.device("cuda", CONTEXT.device_id))
    CONTEXT.gpu, CONTEXT.meta = True, False
    CONTEXT.use_gpu()
    CONTEXT.apply_tf32()
    # a resumed run must compute the same bits as one that never stopped
    torch.backends.cudnn.deterministic = True


def set_device(device_id: int) -> None:
    """Choose GPU number ``device_id`` for GPU mode. Raises CaffeError if there is none."""
    _require_device(device_id)
    CONTEXT.device_id = device_id
    if CONTEXT.gpu:
        CONTEXT.use_gpu()


def set_random_seed(seed: int) -> None:
    """Seed the main stream of this thread, from which fillers, dropout and data layers draw.

    Raises OverflowError, as pycaffe does, unless ``seed`` is an unsigned 32-bit integer.
    """
    if not 0 <= operator.index(seed) < 2**32:
        raise OverflowError(f"set_random_seed: a seed is 0 to {2**32 - 1}; got {seed}")
    CONTEXT.seed(seed)


def _require_device(device_id: int) -> None:
    if not torch.cuda.is_available():
        raise CaffeError(f"cannot use GPU {device_id}: {_why_none()}")
    count = torch.cuda.device_count()
    if not 0 <= device_id < count:
        seen = "GPU 0" if count == 1 else f"GPUs 0 to {count - 1}"
        raise CaffeError(f"no GPU {device_id}: PyTorch sees {seen} here{_visible()}")


def _why_none() -> str:
    """Why PyTorch sees no GPU at all, and what to do."""
    this = f"PyTorch {torch.__version__}"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"{this} is a CPU build; use the CPU, or install a CUDA build of torch"
    try:
        torch.cuda.init()  # unlike is_available() it says what is wrong
        why = "finds no CUDA device"
    except (RuntimeError, AssertionError) as error:
        why = f"finds none: {first_line(error)}"
    return f"{this} {why}{_visible()}; use the CPU, or look at nvidia-smi"


def _visible() -> str:
    """The GPUs that the environment makes visible, which CUDA numbers from 0."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if shown is None else f" (CUDA_VISIBLE_DEVICES is '{shown}')"


def _require_computes(device: torch.device) -> None:
    """Raise CaffeError if a visible GPU cannot compute: it is taken, full, too old or broken."""
    try:
        int(torch.ones(1, device=device).sum())
    except RuntimeError as error:
        raise CaffeError(
            f"GPU {device.index} cannot be used: {first_line(error)}; use the CPU, or look at "
            "nvidia-smi for who computes on it"
        ) from error
